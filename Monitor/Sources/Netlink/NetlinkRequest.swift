public import WireFormats

/// What a request asks for besides its type, and what the kernel says of an answer. Source: netlink(7).
public struct NetlinkFlags: OptionSet, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// NLM_F_REQUEST; `NetlinkSession` sets it, and the two that follow where they belong.
    static let request = NetlinkFlags(rawValue: 0x001)
    static let acknowledge = NetlinkFlags(rawValue: 0x004)
    static let dump = NetlinkFlags(rawValue: 0x300)
    /// NLM_F_DUMP_INTR, in an answer: what is listed changed meanwhile.
    static let interrupted = NetlinkFlags(rawValue: 0x010)

    public static let replace = NetlinkFlags(rawValue: 0x100)
    public static let exclusive = NetlinkFlags(rawValue: 0x200)
    public static let create = NetlinkFlags(rawValue: 0x400)
    /// Behind those that are there.
    public static let append = NetlinkFlags(rawValue: 0x800)
    /// Makes something new; what is there already is EEXIST.
    public static let make: NetlinkFlags = [.create, .exclusive]
    /// Makes something new, in the place of what may be there.
    public static let put: NetlinkFlags = [.create, .replace]
}

/// One request to the kernel: a type, flags, and a body, which is the type's own structure with attributes behind it.
///
/// Layout: length (4 bytes), type (2), flags (2), sequence number (4), port (4), body. An attribute is its length with these four
/// bytes (2), its number (2), its value, and zeros up to a multiple of four. All in the machine's byte order, which is little-endian.
/// Source: netlink(7), rtnetlink(7).
public struct NetlinkRequest: Sendable {
    public let type: UInt16
    public let flags: NetlinkFlags
    public var body = LittleEndianWriter()

    public init(_ type: UInt16, _ flags: NetlinkFlags = []) {
        self.type = type
        self.flags = flags
    }

    /// Appends an attribute. More than its length can say is cut off, and then refused by the kernel: nothing that it takes is so long.
    public mutating func attribute(_ number: UInt16, _ value: [UInt8]) {
        let value = value.count > 65_531 ? [UInt8](value[..<65_531]) : value
        body.write(UInt16(truncatingIfNeeded: 4 + value.count))
        body.write(number)
        body.writeBytes(value)
        while body.bytes.count % 4 != 0 { body.write(UInt8(0)) }
    }

    public mutating func attribute(_ number: UInt16, _ value: UInt32) {
        body.write(UInt32(8) | UInt32(number) << 16)
        body.write(value)
    }

    /// Text, which the kernel wants ended by a zero.
    public mutating func attribute(_ number: UInt16, text: [UInt8]) { attribute(number, text + [0]) }

    /// An attribute that holds what `content` appends: at most 65,531 bytes.
    public mutating func nested(_ number: UInt16, _ content: (inout NetlinkRequest) -> Void) {
        let start = body.bytes.count
        body.write(UInt32(0))
        content(&self)
        // NLA_F_NESTED
        let length = UInt16(truncatingIfNeeded: body.bytes.count - start)
        body.overwrite(UInt32(length) | UInt32(number | 0x8000) << 16, at: start)
    }

    /// As the kernel reads it.
    func encode(into datagram: inout LittleEndianWriter, _ more: NetlinkFlags, sequence: UInt32) {
        datagram.write(UInt32(truncatingIfNeeded: 16 + body.bytes.count))
        datagram.write(type)
        datagram.write(flags.union(more).rawValue)
        datagram.write(sequence)
        datagram.write(UInt32(0))
        datagram.writeBytes(body.bytes)
        while datagram.bytes.count % 4 != 0 { datagram.write(UInt8(0)) }
    }
}
