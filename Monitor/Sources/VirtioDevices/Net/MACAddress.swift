import LinuxCalls

/// An Ethernet address.
public struct MACAddress: Equatable, Sendable {
    /// The six bytes as a little-endian number: the first one lowest.
    let value: UInt64

    /// - Returns: nil unless there are six bytes of a single station (not a group's).
    public init?(_ bytes: [UInt8]) {
        guard bytes.count == 6, bytes[0] & 1 == 0 else { return nil }
        value = bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// A random address of the locally administered kind.
    public static func random() -> MACAddress {
        var bytes = randomBytes(6)
        bytes[0] = bytes[0] & 0xfc | 2
        return MACAddress(bytes) ?? MACAddress(value: 2)
    }

    private init(value: UInt64) { self.value = value }
}
