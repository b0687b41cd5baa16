/// Appends little-endian fields to an array of bytes.
public struct LittleEndianWriter: Sendable {
    public private(set) var bytes: [UInt8]

    public init(reserving count: Int = 0) {
        bytes = []
        bytes.reserveCapacity(count)
    }

    /// Appends one unsigned integer of at most 64 bits at its natural width.
    @inline(__always)
    public mutating func write<Value: FixedWidthInteger & UnsignedInteger>(_ value: Value) {
        write(UInt64(truncatingIfNeeded: value), byteCount: Value.bitWidth / 8)
    }

    /// One body for all widths: a message of many fields is then a row of calls, and small.
    @inline(never)
    private mutating func write(_ value: UInt64, byteCount: Int) {
        for offset in 0..<byteCount { bytes.append(UInt8(truncatingIfNeeded: value &>> UInt64(8 * offset))) }
    }

    @inline(never)
    public mutating func writeBytes(_ more: [UInt8]) { bytes.append(contentsOf: more) }

    /// Replaces the four bytes at `offset`, for a length that is known only afterwards.
    ///
    /// `offset` must be one at which this writer has already written four bytes.
    public mutating func overwrite(_ value: UInt32, at offset: Int) {
        precondition(offset >= 0 && offset + 4 <= bytes.count, "overwriting what was not written")
        for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * index)) }
    }
}
