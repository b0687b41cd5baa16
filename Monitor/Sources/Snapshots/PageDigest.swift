import LinuxCalls

/// The SHA-256 digest of a page of 4096 bytes.
///
/// Source: FIPS 180-4 §4.1.2 (functions), §4.2.2 (constants), §5.1.1 (padding), §6.2.2 (computation).
public struct PageDigest: Sendable {
    public static let byteCount = 32
    /// How many words a page has.
    public static let pageWords = 1024

    /// As the standard numbers them; in files each has its highest byte first.
    private var words: InlineArray<8, UInt32>

    /// Of a page of zeros.
    static let ofZeros = PageDigest(words: [
        0xad7f_acb2, 0x586f_c6e9, 0x66c0_04d7, 0xd1d1_6b02, 0x4f58_05ff, 0x7cb4_7c7a, 0x85da_bd8b, 0x4889_2ca7,
    ])

    private init(words: InlineArray<8, UInt32>) { self.words = words }

    /// Whether the page at a room's beginning is all zeros, which is quicker to see than its digest is to compute.
    static func isOfZeros(_ room: borrowing ByteRoom) -> Bool {
        let page = room.words(0, count: pageWords)
        var bits: UInt32 = 0
        for index in page.indices { bits |= page[index] }
        return bits == 0
    }

    /// - Parameter page: its words in the order of their addresses, read as little-endian ones.
    public init(of page: Span<UInt32>) {
        precondition(page.count == Self.pageWords, "not a page")
        words = [
            0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
        ]
        var block = InlineArray<16, UInt32>(repeating: 0)
        var start = 0
        while start < Self.pageWords {
            for index in 0..<16 { block[index] = page[start + index].byteSwapped }
            add(&block)
            start += 16
        }
        // Behind the page a bit, zeros, and how many bits the page has.
        block = .init(repeating: 0)
        block[0] = 1 << 31
        block[15] = 4096 * 8
        add(&block)
    }

    /// - Parameter place: which page of the room.
    init(of room: borrowing ByteRoom, _ place: Int) { self.init(of: room.words(place * 4096, count: Self.pageWords)) }

    /// One of the digests that a block of a tree holds.
    /// - Parameter block: which page of the room it is.
    init(in room: borrowing ByteRoom, _ block: Int, at place: Int) {
        let block = room.words(block * 4096, count: Self.pageWords)
        words = .init(repeating: 0)
        for index in 0..<8 { words[index] = block[place * 8 + index].byteSwapped }
    }

    /// Nil unless there are 32 bytes.
    public init?(bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        words = .init(repeating: 0)
        for (index, byte) in bytes.enumerated() { words[index / 4] = words[index / 4] << 8 | UInt32(byte) }
    }

    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.byteCount)
        for index in 0..<Self.byteCount {
            bytes.append(UInt8(truncatingIfNeeded: words[index / 4] >> UInt32(24 - index % 4 * 8)))
        }
        return bytes
    }

    public static func == (one: borrowing Self, other: borrowing Self) -> Bool {
        var difference: UInt32 = 0
        for index in 0..<8 { difference |= one.words[index] ^ other.words[index] }
        return difference == 0
    }

    /// Takes sixteen words in, which are those of the last rounds then.
    private mutating func add(_ block: inout InlineArray<16, UInt32>) {
        var (a, b, c, d) = (words[0], words[1], words[2], words[3])
        var (e, f, g, h) = (words[4], words[5], words[6], words[7])
        var round = 0
        while round < 64 {
            // Eight at a time: then each of the letters is where it was.
            Self.step(a, b, c, &d, e, f, g, &h, Self.word(&block, round))
            Self.step(h, a, b, &c, d, e, f, &g, Self.word(&block, round + 1))
            Self.step(g, h, a, &b, c, d, e, &f, Self.word(&block, round + 2))
            Self.step(f, g, h, &a, b, c, d, &e, Self.word(&block, round + 3))
            Self.step(e, f, g, &h, a, b, c, &d, Self.word(&block, round + 4))
            Self.step(d, e, f, &g, h, a, b, &c, Self.word(&block, round + 5))
            Self.step(c, d, e, &f, g, h, a, &b, Self.word(&block, round + 6))
            Self.step(b, c, d, &e, f, g, h, &a, Self.word(&block, round + 7))
            round &+= 8
        }
        words[0] &+= a
        words[1] &+= b
        words[2] &+= c
        words[3] &+= d
        words[4] &+= e
        words[5] &+= f
        words[6] &+= g
        words[7] &+= h
    }

    @inline(__always)
    private static func step(
        _ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: inout UInt32, _ e: UInt32, _ f: UInt32, _ g: UInt32,
        _ h: inout UInt32, _ word: UInt32
    ) {
        let first = h &+ (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) &+ (g ^ (e & (f ^ g))) &+ word
        d = d &+ first
        h = first &+ (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) &+ ((a & b) | (c & (a | b)))
    }

    /// The word of a round, its constant added; the schedule has the last sixteen.
    @inline(__always)
    private static func word(_ block: inout InlineArray<16, UInt32>, _ round: Int) -> UInt32 {
        if round >= 16 {
            let early = block[(round &+ 1) & 15]
            let late = block[(round &+ 14) & 15]
            let sigma0 = rotated(early, 7) ^ rotated(early, 18) ^ early >> 3
            let sigma1 = rotated(late, 17) ^ rotated(late, 19) ^ late >> 10
            block[round & 15] = block[round & 15] &+ sigma0 &+ block[(round &+ 9) & 15] &+ sigma1
        }
        return block[round & 15] &+ constants[round]
    }

    @inline(__always)
    private static func rotated(_ word: UInt32, _ count: UInt32) -> UInt32 { word >> count | word << (32 &- count) }

    private static let constants: InlineArray<64, UInt32> = [
        0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
        0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
        0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
        0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
        0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
        0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
        0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
        0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
    ]
}
