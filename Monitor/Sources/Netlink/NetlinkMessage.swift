public import LinuxCalls
import WireFormats

/// One message of the kernel: an answer, an acknowledgement, or what it tells by itself.
///
/// Trust: the kernel's bytes, and yet nothing is believed: what does not add up is EPROTO, and no input traps.
public struct NetlinkMessage: Sendable {
    /// NLMSG_ERROR, of which an acknowledgement is the one without an error, and NLMSG_DONE, the end of a list.
    static let error: UInt16 = 2
    static let done: UInt16 = 3

    public let type: UInt16
    public let flags: NetlinkFlags
    /// That of the request that it answers; 0 when nobody asked.
    public let sequence: UInt32
    public let body: ArraySlice<UInt8>

    /// The four bytes at `offset` of the body.
    public func number(at offset: Int) throws(LinuxError) -> UInt32 {
        guard let number = body.number(at: offset) else { throw .protocolError }
        return number
    }

    /// The attributes behind the first `count` bytes of the body.
    public func attributes(after count: Int) throws(LinuxError) -> NetlinkAttributes {
        guard body.count >= count else { throw .protocolError }
        return NetlinkAttributes(body.dropFirst(count))
    }

    /// What an answer of the type NLMSG_ERROR or NLMSG_DONE says: minus an error number at its beginning; nil for none.
    func failure() throws(LinuxError) -> LinuxError? {
        let number = Int32(bitPattern: try number(at: 0))
        return number < 0 ? LinuxError(0 &- number) : nil
    }
}

/// The messages of one datagram, one after the other.
public struct NetlinkMessages {
    private var rest: ArraySlice<UInt8>

    public init(_ datagram: [UInt8]) { rest = datagram[...] }

    /// - Throws: EPROTO when the bytes are no message; there is no next one then.
    public mutating func next() throws(LinuxError) -> NetlinkMessage? {
        if rest.isEmpty { return nil }
        do throws(LittleEndianReader.Truncated) {
            var reader = LittleEndianReader(rest)
            let length = Int(try reader.read(UInt32.self))
            let type = try reader.read(UInt16.self)
            let flags = NetlinkFlags(rawValue: try reader.read(UInt16.self))
            let sequence = try reader.read(UInt32.self)
            _ = try reader.read(UInt32.self)
            if length >= 16, length <= rest.count {
                let start = rest.startIndex
                let next = min(start + ((length + 3) & ~3), rest.endIndex)
                defer { rest = rest[next...] }
                return NetlinkMessage(
                    type: type, flags: flags, sequence: sequence, body: rest[start + 16..<start + length])
            }
        } catch {}
        rest = []
        throw .protocolError
    }
}

/// Attributes, one after the other.
public struct NetlinkAttributes {
    private var rest: ArraySlice<UInt8>

    public init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    /// - Throws: EPROTO when the bytes are no attribute; there is no next one then.
    public mutating func next() throws(LinuxError) -> NetlinkAttribute? {
        if rest.isEmpty { return nil }
        let head = rest.number(at: 0) ?? 0
        let length = Int(head & 0xffff)
        guard length >= 4, length <= rest.count else {
            rest = []
            throw .protocolError
        }
        // Without the bits that say that it is nested, or in network order.
        let attribute = NetlinkAttribute(
            number: UInt16(truncatingIfNeeded: head >> 16 & 0x3fff), value: rest.prefix(length).dropFirst(4))
        rest = rest.dropFirst((length + 3) & ~3)
        return attribute
    }

    /// The first one of that number among those that are left.
    public func first(_ number: UInt16) throws(LinuxError) -> NetlinkAttribute? {
        var attributes = self
        while let attribute = try attributes.next() {
            if attribute.number == number { return attribute }
        }
        return nil
    }
}

/// A number, and a value whose meaning the message's type gives it.
public struct NetlinkAttribute: Sendable {
    public let number: UInt16
    public let value: ArraySlice<UInt8>

    /// Four bytes of the value; nil when it is shorter.
    public func number(at offset: Int = 0) -> UInt32? { value.number(at: offset) }

    /// The bytes before the first zero.
    public var text: ArraySlice<UInt8> { value.prefix { $0 != 0 } }

    /// What lies in it, when it is nested.
    public var attributes: NetlinkAttributes { NetlinkAttributes(value) }
}

extension ArraySlice<UInt8> {
    /// Four bytes from `offset` on; nil when there are fewer.
    fileprivate func number(at offset: Int) -> UInt32? {
        guard offset >= 0, offset <= count - 4 else { return nil }
        var number: UInt32 = 0
        for place in 0..<4 { number |= UInt32(self[startIndex + offset + place]) << UInt32(8 * place) }
        return number
    }
}
