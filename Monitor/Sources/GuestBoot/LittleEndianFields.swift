/// Little-endian integers in bytes of unknown origin: each read is checked, none traps.
struct LittleEndianFields {
    let bytes: [UInt8]

    var count: Int { bytes.count }

    /// The value at `offset`, or nil where the bytes end before it does.
    @inline(__always)
    func value<T: FixedWidthInteger & UnsignedInteger>(_ type: T.Type, at offset: Int) -> T? {
        let size = T.bitWidth / 8
        guard offset >= 0, size <= bytes.count, offset <= bytes.count - size else { return nil }
        var value: T = 0
        for index in 0..<size { value |= T(truncatingIfNeeded: bytes[offset + index]) << T(index * 8) }
        return value
    }

    /// Whether these bytes stand at `offset`.
    func has(_ magic: [UInt8], at offset: Int = 0) -> Bool {
        guard offset >= 0, magic.count <= bytes.count, offset <= bytes.count - magic.count else { return false }
        for index in 0..<magic.count where bytes[offset + index] != magic[index] { return false }
        return true
    }
}

/// Writing little-endian integers into tables of ours.
extension [UInt8] {
    mutating func append<T: FixedWidthInteger & UnsignedInteger>(littleEndian value: T) {
        for shift in stride(from: 0, to: T.bitWidth, by: 8) {
            append(UInt8(truncatingIfNeeded: value >> T(shift)))
        }
    }

    /// Overwrites bytes that are there already.
    mutating func store<T: FixedWidthInteger & UnsignedInteger>(littleEndian value: T, at offset: Int) {
        for index in 0..<T.bitWidth / 8 { self[offset + index] = UInt8(truncatingIfNeeded: value >> T(index * 8)) }
    }

    /// Makes the sum of a range zero by setting one byte of it.
    mutating func balance(_ range: Range<Int>, checksumAt offset: Int) {
        self[offset] = 0
        var sum: UInt8 = 0
        for index in range { sum &+= self[index] }
        self[offset] = 0 &- sum
    }
}
