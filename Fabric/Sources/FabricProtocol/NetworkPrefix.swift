public import AgentProtocol

/// A network's addresses, written `10.190.1.0/24`: what all of them begin with, and how many bits that is.
public struct NetworkPrefix: Hashable, Sendable, CustomStringConvertible {
    /// With zeros behind the prefix.
    public let base: IPAddress
    public let length: UInt8

    /// Nil when the length is none of that family; bits behind the prefix are taken as zero.
    public init?(_ address: IPAddress, length: UInt8) {
        guard length <= address.bitWidth else { return nil }
        var bytes = address.bytes
        for place in bytes.indices {
            let kept = min(max(Int(length) - place * 8, 0), 8)
            bytes[place] &= kept == 0 ? 0 : 0xff << (8 - kept)
        }
        guard let base = IPAddress(networkOrder: bytes) else { return nil }
        self.base = base
        self.length = length
    }

    /// Reads `10.190.1.0/24`. An address of the network stands for it as well.
    public init?(_ text: String) {
        let halves = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard halves.count == 2, (1...3).contains(halves[1].count), let address = IPAddress(String(halves[0]) ?? ""),
            let length = Self.number(halves[1])
        else { return nil }
        self.init(address, length: length)
    }

    private static func number(_ digits: Substring.UTF8View) -> UInt8? {
        var value = 0
        for digit in digits {
            guard (0x30...0x39).contains(digit) else { return nil }
            value = value * 10 + Int(digit - 0x30)
        }
        return UInt8(exactly: value)
    }

    public var family: IPAddress.Family { base.family }
    public var description: String { base.description + "/" + String(length) }

    public func contains(_ address: IPAddress) -> Bool { NetworkPrefix(address, length: length)?.base == base }

    public func overlaps(_ other: NetworkPrefix) -> Bool {
        family == other.family && (length <= other.length ? contains(other.base) : other.contains(base))
    }

    /// How many bits tell addresses of the network apart.
    public var hostBits: Int { Int(base.bitWidth) - Int(length) }

    /// The address at that place in the network; nil behind its end.
    public func address(_ place: UInt64) -> IPAddress? {
        guard hostBits >= 64 || place >> UInt64(hostBits) == 0 else { return nil }
        var bytes = base.bytes
        var rest = place
        for index in bytes.indices.reversed() where rest > 0 {
            bytes[index] |= UInt8(truncatingIfNeeded: rest)
            rest >>= 8
        }
        return IPAddress(networkOrder: bytes)
    }

    /// The network's own: its first address, which the fabric answers on.
    public var gateway: IPAddress? { address(1) }
    /// The one that means all of the network; IPv4 alone has it.
    public var broadcast: IPAddress? {
        family == .v4 && hostBits > 0 ? address(1 << UInt64(hostBits) - 1) : nil
    }

    /// What no network of machines can have, and why. Source: RFC 6890, RFC 4291 §2.4; the last two are this project's own.
    private static let reserved: [(prefix: String, meaning: String)] = [
        ("0.0.0.0/8", "addresses that mean no machine"), ("127.0.0.0/8", "each machine's own loopback"),
        ("169.254.0.0/16", "addresses of a link alone"), ("224.0.0.0/4", "groups"),
        ("240.0.0.0/4", "reserved addresses"),
        ("::/8", "reserved addresses"), ("fe80::/10", "addresses of a link alone"), ("ff00::/8", "groups"),
        ("10.189.255.0/24", "the links out of fabrics"), ("fd10:189:255::/64", "the links out of fabrics"),
    ]

    /// Why a network cannot have these addresses; nil where it can.
    public var reservation: (prefix: NetworkPrefix, meaning: String)? {
        for (text, meaning) in Self.reserved {
            if let prefix = NetworkPrefix(text), overlaps(prefix) { return (prefix, meaning) }
        }
        return nil
    }
}
