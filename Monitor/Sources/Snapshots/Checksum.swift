/// CRC-64 with the polynomial of ECMA-182, reflected. It finds damage, not malice.
/// Source: ECMA-182 annex B; the bits in the order that XZ has them.
public struct Checksum: Sendable {
    private var register = UInt64.max

    /// The remainders of sixteen values of four bits: state files are small, and a larger table would not be.
    private static let table: InlineArray<16, UInt64> = {
        var table = InlineArray<16, UInt64>(repeating: 0)
        for index in 0..<16 {
            var value = UInt64(index)
            for _ in 0..<4 { value = value & 1 == 0 ? value >> 1 : value >> 1 ^ 0xc96c_5795_d787_0f42 }
            table[index] = value
        }
        return table
    }()

    public init() {}

    public mutating func add(_ bytes: ArraySlice<UInt8>) {
        let table = Self.table
        for byte in bytes {
            register ^= UInt64(byte)
            register = register >> 4 ^ table[Int(register & 15)]
            register = register >> 4 ^ table[Int(register & 15)]
        }
    }

    public var value: UInt64 { ~register }
}
