/// CRC-64 with the polynomial of ECMA-182, reflected. It finds damage, not malice.
/// Source: ECMA-182 annex B; the bits in the order that XZ has them.
public struct Checksum: Sendable {
    private var register = UInt64.max

    /// The remainders of a byte with none to three bytes of zeros behind it: four bytes are taken at once, for each restore
    /// waits for this.
    private static let table: [UInt64] = {
        var table = [UInt64](repeating: 0, count: 1024)
        for index in 0..<256 {
            var value = UInt64(index)
            for _ in 0..<8 { value = value >> 1 ^ (0xc96c_5795_d787_0f42 & (0 &- (value & 1))) }
            table[index] = value
        }
        for index in 256..<1024 {
            let before = table[index - 256]
            table[index] = before >> 8 ^ table[Int(before & 255)]
        }
        return table
    }()

    public init() {}

    public mutating func add(_ bytes: ArraySlice<UInt8>) {
        let table = Self.table.span
        var register = register
        let span = bytes.span
        var index = 0
        while span.count - index >= 4 {
            let low = UInt32(span[index]) | UInt32(span[index + 1]) << 8
            let high = UInt32(span[index + 2]) | UInt32(span[index + 3]) << 8
            let mixed = UInt32(truncatingIfNeeded: register) ^ (low | high << 16)
            register = register >> 32 ^ table[768 + Int(mixed & 255)] ^ table[512 + Int(mixed >> 8 & 255)]
            register ^= table[256 + Int(mixed >> 16 & 255)] ^ table[Int(mixed >> 24)]
            index += 4
        }
        while index < span.count {
            register = register >> 8 ^ table[Int((register ^ UInt64(span[index])) & 255)]
            index += 1
        }
        self.register = register
    }

    public var value: UInt64 { ~register }
}
