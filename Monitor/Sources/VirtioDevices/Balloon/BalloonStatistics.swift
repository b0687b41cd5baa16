/// What the guest says of its memory: a number for each of the standard's tags. Trust: the guest's words, for people only.
/// Source: virtio 1.3 §5.5.6.4.
public struct BalloonStatistics: Equatable, Sendable {
    /// The kind of a figure; pages are the guest's events of 4 KiB, the rest bytes or counts.
    public enum Tag: UInt16, CaseIterable, Sendable {
        case swapIn = 0
        case swapOut
        case majorFaults
        case minorFaults
        case freeMemory
        case totalMemory
        case availableMemory
        case diskCaches
        case hugePageAllocations
        case hugePageFailures
        case outOfMemoryKills
        case allocationStalls
        case asynchronousScans
        case directScans
        case asynchronousReclaims
        case directReclaims
    }

    private var values = InlineArray<16, UInt64>(repeating: 0)
    private var isKnown: UInt16 = 0

    public init() {}

    /// The figure, or nil when the guest has not told it.
    public subscript(tag: Tag) -> UInt64? {
        get { isKnown >> tag.rawValue & 1 != 0 ? values[Int(tag.rawValue)] : nil }
        set {
            isKnown = newValue == nil ? isKnown & ~(1 << tag.rawValue) : isKnown | 1 << tag.rawValue
            values[Int(tag.rawValue)] = newValue ?? 0
        }
    }

    public static func == (left: Self, right: Self) -> Bool {
        Tag.allCases.allSatisfy { left[$0] == right[$0] }
    }
}
