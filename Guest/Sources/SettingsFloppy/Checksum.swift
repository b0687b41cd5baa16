/// CRC-32C, bit by bit: settings are a few kilobytes, and a table would be larger than the code.
/// Source: RFC 3720 §12.1 (polynomial 0x11EDC6F41, reflected).
public func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
    var sum: UInt32 = 0xffff_ffff
    for byte in bytes {
        sum ^= UInt32(byte)
        for _ in 0..<8 { sum = sum & 1 == 0 ? sum >> 1 : sum >> 1 ^ 0x82f6_3b78 }
    }
    return ~sum
}
