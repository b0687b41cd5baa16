/// Where the blocks of a dm-verity hash tree lie: format version 1, SHA-256, blocks of 4096 bytes for data and hashes, no
/// salt, no superblock.
///
/// A hash block holds the digests of 128 blocks of the level below, the last one filled up with zeroes. The levels lie one
/// after the other, the one next to the root first, the digests of the data last. The root hash is the digest of the only
/// block of the highest level; of a single data block, which needs no tree, its own.
///
/// Source: Linux `Documentation/admin-guide/device-mapper/verity.rst`, "Hash tree", and `verity_ctr` in
/// `drivers/md/dm-verity-target.c`.
public struct HashTreeLayout: Equatable, Sendable {
    public static let blockBytes = 4096
    public static let digestBytes = 32
    static let digestsPerBlock: UInt64 = 128

    /// Of all the data, so that its bytes can be counted.
    public static let maximumDataBlocks: UInt64 = 1 << 51

    /// How many blocks of data the tree is for, at least one.
    public let dataBlocks: UInt64
    /// From the data upwards: the first block of each level, counted from the beginning of the tree, and its blocks.
    let levels: [(start: UInt64, count: UInt64)]
    /// Blocks of the whole tree.
    public let blocks: UInt64

    public init(dataBlocks: UInt64) {
        precondition(dataBlocks > 0 && dataBlocks <= Self.maximumDataBlocks, "no disk has so many blocks")
        self.dataBlocks = dataBlocks
        var counts: [UInt64] = []
        var count = dataBlocks
        while count > 1 {
            count = (count - 1) / Self.digestsPerBlock + 1
            counts.append(count)
        }
        var start: UInt64 = 0
        var levels: [(start: UInt64, count: UInt64)] = []
        for count in counts.reversed() {
            levels.append((start, count))
            start += count
        }
        self.levels = levels.reversed()
        blocks = start
    }

    public var sizeBytes: UInt64 { blocks * UInt64(Self.blockBytes) }

    public static func == (one: HashTreeLayout, other: HashTreeLayout) -> Bool { one.dataBlocks == other.dataBlocks }
}
