/// What frames are told apart by: words of four bytes, each at a place counted from the end of the Ethernet header on, and compared as
/// far as a mask says. All of them must be so.
///
/// As `struct tc_u32_sel`: flags, shift (1 byte each), number of keys (1 in 2), and what is not used here, 16 altogether; for each key mask, value
/// (4 each, in network order), place (4), and one that is not used. Source: Linux `linux/pkt_cls.h`.
struct FrameMatch {
    private var keys: [UInt8] = []
    private var count: UInt8 = 0

    /// Every frame.
    init() {}

    /// Those of one kind.
    init(etherType: UInt16) { add(-4, UInt32(etherType), mask: 0xffff) }

    /// Those that are sent to one station, of six bytes.
    init(to station: [UInt8]) {
        add(-14, Self.word(station[..<4]))
        add(-10, Self.word(station[4...]) << 16, mask: 0xffff_0000)
    }

    mutating func add(_ place: Int32, _ value: UInt32, mask: UInt32 = .max) {
        for word in [mask.byteSwapped, value.byteSwapped, UInt32(bitPattern: place), 0] {
            for byte in 0..<4 { keys.append(UInt8(truncatingIfNeeded: word >> (8 * UInt32(byte)))) }
        }
        count += 1
    }

    /// Bytes that stand there one after the other, whole words of them.
    mutating func add(_ place: Int32, bytes: [UInt8], mask: UInt32 = .max) {
        for word in 0..<(bytes.count / 4) {
            add(place + Int32(word) * 4, Self.word(bytes[(word * 4)..<(word * 4 + 4)]), mask: mask)
        }
    }

    private static func word(_ bytes: ArraySlice<UInt8>) -> UInt32 { bytes.reduce(0) { $0 << 8 | UInt32($1) } }

    /// TC_U32_TERMINAL, and the keys.
    var selector: [UInt8] { [1, 0, count] + [UInt8](repeating: 0, count: 13) + keys }
}
