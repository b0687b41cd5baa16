/// What a connection must show to an agent that anybody on the machine can reach (TCP in the emulated host).
///
/// An agent that listens on TCP takes the secret of the first connection as its own: whoever starts the host connects
/// before anybody else knows the port, so that a template of the booted host holds no secret.
public struct Secret: Equatable, Sendable {
    public static let byteCount = 32
    /// All zeroes: what is sent where the transport itself says who speaks (vsock, a Unix socket).
    public static let none = Secret(unchecked: [UInt8](repeating: 0, count: byteCount))

    public let bytes: [UInt8]

    private init(unchecked bytes: [UInt8]) { self.bytes = bytes }

    /// Nil unless there are exactly 32 bytes.
    public init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        self.bytes = bytes
    }

    /// Reads 64 hexadecimal digits.
    public init?(hexadecimal text: ByteString) {
        guard text.count == 2 * Self.byteCount else { return nil }
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text.bytes {
            let digit: UInt8
            switch character {
            case 0x30...0x39: digit = character - 0x30
            case 0x41...0x46: digit = character - 0x41 + 10
            case 0x61...0x66: digit = character - 0x61 + 10
            default: return nil
            }
            if let upper = high {
                bytes.append(upper << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        self.bytes = bytes
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    public func matches(_ other: Secret) -> Bool {
        var difference: UInt8 = 0
        for index in 0..<Self.byteCount { difference |= bytes[index] ^ other.bytes[index] }
        return difference == 0
    }
}

/// Sixteen random bytes that the host chooses for a process, by which each of its streams is recognised.
public struct Token: Equatable, Sendable {
    public var first: UInt64
    public var second: UInt64

    public init(first: UInt64, second: UInt64) {
        self.first = first
        self.second = second
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    public func matches(_ other: Token) -> Bool { (first ^ other.first) | (second ^ other.second) == 0 }
}
