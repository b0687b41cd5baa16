import WireFormats

/// An IPv4 or IPv6 address.
public struct IPAddress: Hashable, Sendable {
    public enum Family: UInt8, Sendable { case v4 = 4, v6 = 6 }

    public let family: Family
    /// In network order: 4 or 16 of them.
    public let bytes: [UInt8]

    public init(v4 first: UInt8, _ second: UInt8, _ third: UInt8, _ fourth: UInt8) {
        family = .v4
        bytes = [first, second, third, fourth]
    }

    /// Nil unless there are 4 or 16 bytes.
    public init?(networkOrder bytes: [UInt8]) {
        switch bytes.count {
        case 4: family = .v4
        case 16: family = .v6
        default: return nil
        }
        self.bytes = bytes
    }

    /// The longest prefix: 32 or 128.
    public var bitWidth: UInt8 { family == .v4 ? 32 : 128 }

    func encode(into writer: inout LittleEndianWriter) {
        writer.write(family.rawValue)
        writer.writeBytes(bytes)
    }

    init(from reader: inout MessageReader) {
        let number = reader.integer(UInt8.self)
        if Family(rawValue: number) == nil { reader.fail(.outOfBounds(.addressFamily)) }
        family = Family(rawValue: number) ?? .v4
        bytes = reader.bytes(family == .v4 ? 4 : 16)
    }
}
