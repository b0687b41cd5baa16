public import LinuxCalls

/// An eventfd that several threads hold.
public final class SharedEvent: Sendable {
    private let file: EventFile

    public init() throws(LinuxError) { file = try EventFile() }

    public var descriptor: Int32 { file.descriptor.number }
    public func signal() { file.signal() }
    public func drain() { file.drain() }
}
