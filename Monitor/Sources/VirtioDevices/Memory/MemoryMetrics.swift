/// What a memory device has done and met. Never reset.
public final class MemoryMetrics: Sendable {
    /// Requests by kind, and those of each that were not carried out.
    public let plugs = Counter()
    public let plugFailures = Counter()
    public let pluggedBytes = Counter()
    public let unplugs = Counter()
    public let unplugFailures = Counter()
    public let unpluggedBytes = Counter()
    public let unplugAlls = Counter()
    public let states = Counter()
    /// Requests that are none, or about what is not the device's.
    public let badRequests = Counter()
    /// Memory slots that the host's kernel did not take.
    public let hostErrors = Counter()
    /// Queues that the driver broke; each needs a reset of the device.
    public let queueFaults = Counter()

    public init() {}
}
