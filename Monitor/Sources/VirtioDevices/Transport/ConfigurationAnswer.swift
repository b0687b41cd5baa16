/// The answer to one read of a configuration space, put together from the fields that it touches.
///
/// The access may have any offset and width: it sees exactly the bytes that a little-endian structure would have there,
/// and zero where no field lies.
public struct ConfigurationAnswer: Sendable {
    public let offset: UInt32
    public let width: UInt32
    /// What the driver reads.
    public private(set) var value: UInt32 = 0

    /// - Parameter width: 1, 2 or 4.
    public init(offset: UInt32, width: UInt32) {
        self.offset = offset
        self.width = width
    }

    /// Places a field that begins at `position` and is `width` bytes long, at most eight.
    public mutating func place(_ field: UInt64, at position: UInt32, width fieldWidth: UInt32) {
        for index in 0..<min(width, 4) {
            let (place, overflow) = offset.addingReportingOverflow(index)
            if overflow || place < position { continue }
            let inside = place &- position
            if inside >= min(fieldWidth, 8) { continue }
            let byte = UInt32(truncatingIfNeeded: field >> (8 * UInt64(inside))) & 0xff
            value |= byte << (8 * index)
        }
    }
}
