/// Finds a place for each inode, so that no record of up to a block crosses a block's end and little room is lost.
///
/// Inline data must lie in one block (Linux fs/erofs/data.c, `erofs_map_blocks`: "inline data across blocks").
struct ErofsMetadataPacker {
    /// Blocks that still have room: few and recent, so that what is placed together lies together.
    private var open: [(start: UInt64, usedSlots: Int)] = []
    private var nextBlock: UInt64 = 0
    private static let slotsPerBlock = ErofsLayout.blockBytes / ErofsLayout.slotBytes
    private static let maximumOpenBlocks = 16

    init() {
        // Slot 0 would be inode number 0, which programs take for a deleted file.
        open.append((0, 2))
        nextBlock = 1
    }

    /// Length of the metadata so far.
    var sizeBytes: UInt64 { nextBlock * UInt64(ErofsLayout.blockBytes) }

    /// The slot of a record.
    mutating func place(_ bytes: Int) -> UInt64 {
        let slots = (bytes + ErofsLayout.slotBytes - 1) / ErofsLayout.slotBytes
        // The fullest block that still has room.
        var best: Int?
        for index in open.indices where open[index].usedSlots + slots <= Self.slotsPerBlock {
            if best.map({ open[index].usedSlots > open[$0].usedSlots }) ?? true { best = index }
        }
        if let best {
            let slot = open[best].start * UInt64(Self.slotsPerBlock) + UInt64(open[best].usedSlots)
            open[best].usedSlots += slots
            if open[best].usedSlots == Self.slotsPerBlock { open.remove(at: best) }
            return slot
        }
        let blocks = (slots + Self.slotsPerBlock - 1) / Self.slotsPerBlock
        let slot = nextBlock * UInt64(Self.slotsPerBlock)
        nextBlock += UInt64(blocks)
        let usedInLast = slots - (blocks - 1) * Self.slotsPerBlock
        if usedInLast < Self.slotsPerBlock {
            open.append((nextBlock - 1, usedInLast))
            if open.count > Self.maximumOpenBlocks { open.removeFirst() }
        }
        return slot
    }
}
