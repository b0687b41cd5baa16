/// What a file system device has done, counted since it was made. Raised on the device's thread.
public final class FileSystemMetrics: Sendable {
    public let requests = Counter()
    public let hostErrors = Counter()
    /// Errors of the queues that stopped the device until a reset.
    public let queueFaults = Counter()

    public init() {}
}
