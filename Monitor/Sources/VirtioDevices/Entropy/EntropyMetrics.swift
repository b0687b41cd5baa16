/// What an entropy device has done, counted since it was made. Raised on the device's thread.
public final class EntropyMetrics: Sendable {
    public let requests = Counter()
    public let bytes = Counter()
    /// Requests that the host's kernel did not serve.
    public let hostErrors = Counter()
    /// Errors of the queue that stopped the device until a reset.
    public let queueFaults = Counter()

    public init() {}
}
