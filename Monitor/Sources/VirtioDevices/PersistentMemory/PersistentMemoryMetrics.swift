/// What a persistent-memory device has done and met. Never reset.
public final class PersistentMemoryMetrics: Sendable {
    public let flushes = Counter()
    /// Requests that are none.
    public let badRequests = Counter()
    /// Flushes that the host's kernel did not carry out.
    public let hostErrors = Counter()
    /// Queues that the driver broke; each needs a reset of the device.
    public let queueFaults = Counter()

    public init() {}
}
