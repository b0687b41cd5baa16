/// How requests reach the file.
public enum BlockEngine: Equatable, Sendable {
    /// The better of the two, by measurement: see Documentation/design.
    case automatic
    /// One system call after the other on the device's own thread.
    case synchronous
    /// Up to 64 requests at once through io_uring; synchronous where the kernel does not allow that.
    case asynchronous
}
