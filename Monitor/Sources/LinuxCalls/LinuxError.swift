/// An error number returned by the kernel.
public struct LinuxError: Error, Equatable, Sendable {
    /// Positive, as in `errno(3)`.
    public let number: Int32

    public init(_ number: Int32) { self.number = number }
}
