/// Reads little-endian fields one after the other from bytes that somebody else wrote.
///
/// Trust: nothing is believed. A read past the end throws and leaves the position where it was; no input traps.
public struct LittleEndianReader: Sendable {
    /// The bytes end before the field does.
    public struct Truncated: Error, Equatable, Sendable {
        public init() {}
    }

    private let bytes: ArraySlice<UInt8>
    private var position: Int

    public init(_ bytes: [UInt8]) { self.init(bytes[...]) }

    public init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    /// Bytes not read yet.
    public var remaining: Int { bytes.endIndex - position }

    /// One unsigned integer of at most 64 bits at its natural width.
    @inline(__always)
    public mutating func read<Value: FixedWidthInteger & UnsignedInteger>(
        _ type: Value.Type = Value.self
    ) throws(Truncated) -> Value {
        Value(truncatingIfNeeded: try read(byteCount: Value.bitWidth / 8))
    }

    /// One body for all widths.
    @inline(never)
    private mutating func read(byteCount: Int) throws(Truncated) -> UInt64 {
        guard remaining >= byteCount else { throw Truncated() }
        var value: UInt64 = 0
        let bytes = bytes
        let span = bytes.span
        var place = position - bytes.startIndex + byteCount
        for _ in 0..<byteCount {
            place -= 1
            value = value << 8 | UInt64(span[place])
        }
        position += byteCount
        return value
    }

    /// The next `count` bytes. A negative count is refused like one that is too large.
    public mutating func readBytes(_ count: Int) throws(Truncated) -> [UInt8] {
        guard count >= 0, remaining >= count else { throw Truncated() }
        defer { position += count }
        return [UInt8](bytes[position..<position + count])
    }
}
