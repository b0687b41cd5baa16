/// The checksum of IP, UDP, TCP and ICMP: zero over what holds the right one.
///
/// Source: RFC 1071 §1.
public enum InternetChecksum {
    public static func of(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for (place, byte) in bytes.enumerated() { sum &+= place % 2 == 0 ? UInt32(byte) << 8 : UInt32(byte) }
        while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
        return ~UInt16(truncatingIfNeeded: sum)
    }
}
