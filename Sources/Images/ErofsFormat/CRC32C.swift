/// The checksum of the superblock.
///
/// Source: RFC 3720 §B.4 (polynomial, reflected: 0x82F63B78); without the final inversion, as the kernel computes it.
enum CRC32C {
    static func checksum(_ bytes: some Sequence<UInt8>, seed: UInt32 = 0xffff_ffff) -> UInt32 {
        var register = seed
        for byte in bytes {
            register ^= UInt32(byte)
            for _ in 0..<8 { register = register >> 1 ^ (register & 1 == 0 ? 0 : 0x82f6_3b78) }
        }
        return register
    }
}
