/// A path on the host, as the bytes that the kernel takes; file names need not be UTF-8.
public struct HostPath: Hashable, Sendable {
    public let bytes: [UInt8]

    public init(bytes: [UInt8]) { self.bytes = bytes }

    public init(_ text: String) { bytes = Array(text.utf8) }

    /// The path of something in this folder. The name must be one component: see `FileName`s in the tree modules.
    public func appending(_ name: [UInt8]) -> HostPath {
        if bytes.last == UInt8(ascii: "/") { return HostPath(bytes: bytes + name) }
        return HostPath(bytes: bytes + [UInt8(ascii: "/")] + name)
    }

    public func appending(_ name: String) -> HostPath { appending(Array(name.utf8)) }
}

extension HostPath: CustomStringConvertible {
    /// For people: bytes that are no UTF-8 are shown as replacement characters.
    public var description: String { String(decoding: bytes, as: UTF8.self) }
}
