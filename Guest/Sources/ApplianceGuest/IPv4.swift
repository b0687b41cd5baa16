public import AgentProtocol

/// An IPv4 address as a number, so that networks can be compared.
public struct IPv4: Equatable, Comparable, Sendable {
    public let value: UInt32

    public init(_ value: UInt32) { self.value = value }

    /// Reads `10.0.0.1`; nil for anything else.
    public init?(_ text: ByteString) {
        guard let address = IPAddress(text.description), address.family == .v4 else { return nil }
        value = address.bytes.reduce(0) { $0 << 8 | UInt32($1) }
    }

    public var address: IPAddress {
        IPAddress(
            v4: UInt8(truncatingIfNeeded: value >> 24), UInt8(truncatingIfNeeded: value >> 16),
            UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value))
    }
    public var text: ByteString { address.text }

    /// Neither the unspecified, the loopback, a group's nor the reserved ones.
    public var isOfAHost: Bool { (1...223).contains(value >> 24) && value >> 24 != 127 }

    public static func < (left: IPv4, right: IPv4) -> Bool { left.value < right.value }
}

/// An IPv4 address and how long its network's part is, written `10.0.0.1/24`.
public struct IPv4Prefix: Equatable, Sendable {
    public let address: IPv4
    public let length: UInt8

    public init(_ address: IPv4, length: UInt8) {
        self.address = address
        self.length = min(length, 32)
    }

    public init?(_ text: ByteString) {
        let halves = text.split(UInt8(ascii: "/"))
        guard halves.count == 2, let address = IPv4(halves[0]), let length = Digits.number(halves[1]), length <= 32
        else { return nil }
        self.init(address, length: UInt8(length))
    }

    public var mask: IPv4 { IPv4(length == 0 ? 0 : UInt32.max << UInt32(32 - length)) }
    public var network: IPv4Prefix { IPv4Prefix(IPv4(address.value & mask.value), length: length) }
    public var broadcast: IPv4 { IPv4(address.value | ~mask.value) }
    public var text: ByteString { address.text + "/" + ByteString(length) }

    public func contains(_ other: IPv4) -> Bool { other.value & mask.value == address.value & mask.value }

    /// Whether that is a host's in this network: not the network's own address, nor that for all of it.
    public func hasHost(_ other: IPv4) -> Bool {
        contains(other) && other.isOfAHost && (length >= 31 || (other != network.address && other != broadcast))
    }

    public func overlaps(_ other: IPv4Prefix) -> Bool {
        length <= other.length ? contains(other.address) : other.contains(address)
    }
}

/// Whole numbers in digits.
public enum Digits {
    /// Nil unless it is one to ten digits and nothing else.
    public static func number(_ text: ByteString) -> UInt64? {
        guard (1...10).contains(text.count) else { return nil }
        var value: UInt64 = 0
        for digit in text.bytes {
            guard (0x30...0x39).contains(digit) else { return nil }
            value = value * 10 + UInt64(digit - 0x30)
        }
        return value
    }
}
