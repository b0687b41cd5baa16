/// What a block device has done and met, counted since it was made. Raised on the device's thread.
public final class BlockMetrics: Sendable {
    public let reads = Counter()
    public let readBytes = Counter()
    public let writes = Counter()
    public let writtenBytes = Counter()
    public let flushes = Counter()
    /// Discards and write-zeroes.
    public let rangeChanges = Counter()
    /// Requests that the host's file answered with an error (EIO, ENOSPC), or that found the file shorter than it was.
    public let hostErrors = Counter()
    /// Requests that make no sense: beyond the end, of a broken length, writes to a read-only disk.
    public let badRequests = Counter()
    /// Requests of a kind that the device does not know.
    public let unsupportedRequests = Counter()
    /// Errors of the queue that stopped the device until a reset.
    public let queueFaults = Counter()
    /// Times that the device's thread was woken.
    public let wakeUps = Counter()
    public let interrupts = Counter()
    /// Other files put in the place of the one so far.
    public let replacements = Counter()

    public init() {}
}
