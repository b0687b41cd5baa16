/// How requests reach the file. Why automatic does what it does: Documentation/design/0010-block-engine.md.
public enum BlockEngine: Equatable, Sendable {
    /// Reads, flushes and discards through io_uring, writes into the page cache by plain calls.
    case automatic
    /// One system call after the other on the device's own thread.
    case synchronous
    /// All requests, up to 64 at once, through io_uring; synchronous where the kernel does not allow that.
    case asynchronous
}
