/// What a balloon device has done and met. Never reset.
public final class BalloonMetrics: Sendable {
    /// Pages (4 KiB) that the guest has put in and taken out.
    public let inflatedPages = Counter()
    public let deflatedPages = Counter()
    /// Bytes given back to the host, by the balloon, free page reporting and hinting.
    public let releasedBytes = Counter()
    public let reportedBytes = Counter()
    public let reportedRanges = Counter()
    /// Free pages that the guest has named when it was asked for them.
    public let hintedBytes = Counter()
    public let hintedRanges = Counter()
    public let statisticsUpdates = Counter()
    /// Pages outside the guest's memory, and lists that are no lists.
    public let invalidPages = Counter()
    /// Ranges that the host's kernel did not take.
    public let hostErrors = Counter()
    /// Queues that the driver broke; each needs a reset of the device.
    public let queueFaults = Counter()

    public init() {}
}
