import FileTrees

/// The table that says where the clusters of a compressed file lie: one entry of eight bytes for each block of its length.
///
/// An entry either begins a cluster or tells how far it is from the beginnings before and after it.
/// Source: Linux fs/erofs/erofs_fs.h, `struct z_erofs_map_header`, `struct z_erofs_lcluster_index`; fs/erofs/zmap.c.
struct ErofsClusterTable {
    let sizeBytes: UInt64
    let clusters: [PackedContent.Cluster]

    private static let entryBytes = 8
    /// `Z_EROFS_FULL_INDEX_START`: the header, and eight bytes that nobody reads.
    private static let headerBytes = 16
    /// `Z_EROFS_LCLUSTER_TYPE_*`.
    private static let plainHead: UInt16 = 0
    private static let compressedHead: UInt16 = 1
    private static let notHead: UInt16 = 2
    /// `Z_EROFS_ADVISE_BIG_PCLUSTER_1`: clusters may have several blocks.
    private static let hasLargeClusters: UInt16 = 2
    /// `Z_EROFS_LI_D0_CBLKCNT`: the field holds the cluster's length in blocks, in its first entry that begins none.
    private static let isBlockCount: UInt16 = 1 << 11

    /// Length of the table behind an inode and its attributes of `headerBytes` bytes.
    static func byteCount(sizeBytes: UInt64, after headerBytes: Int) -> Int {
        padding(after: headerBytes) + Self.headerBytes + Int(ErofsLayout.blocks(for: sizeBytes)) * entryBytes
    }

    private static func padding(after headerBytes: Int) -> Int { (8 - headerBytes % 8) % 8 }

    /// The table; blocks are counted from `base` on.
    func encoded(after headerBytes: Int, base: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.byteCount(sizeBytes: sizeBytes, after: headerBytes))
        bytes.appendZeros(Self.padding(after: headerBytes) + 4)
        bytes.append(littleEndian: Self.hasLargeClusters)
        // Compressor 0 is LZ4; entries are for blocks of the disk's own length.
        bytes.appendZeros(2 + 8)
        for (index, cluster) in clusters.enumerated() {
            let end = index + 1 < clusters.count ? clusters[index + 1].offset : sizeBytes
            if cluster.isPlain {
                appendPlain(cluster, end, base, to: &bytes)
            } else {
                append(
                    from: cluster.offset, to: end, cluster, Self.compressedHead, base + UInt64(cluster.block),
                    to: &bytes)
            }
        }
        return bytes
    }

    /// A run of blocks that are not compressed is a run of clusters, each with one entry: the kernel takes no other.
    private func appendPlain(
        _ cluster: PackedContent.Cluster, _ end: UInt64, _ base: UInt64, to bytes: inout [UInt8]
    ) {
        let blockBytes = UInt64(ErofsLayout.blockBytes)
        var offset = cluster.offset
        for number in 0..<UInt64(cluster.blockCount) {
            let next = min(end, (offset / blockBytes + 1) * blockBytes)
            append(from: offset, to: next, cluster, Self.plainHead, base + UInt64(cluster.block) + number, to: &bytes)
            offset = next
        }
    }

    /// The entries of one cluster: from the block in which it begins up to the one in which the next begins.
    private func append(
        from start: UInt64, to end: UInt64, _ cluster: PackedContent.Cluster, _ type: UInt16, _ block: UInt64,
        to bytes: inout [UInt8]
    ) {
        let blockBytes = UInt64(ErofsLayout.blockBytes)
        let head = start / blockBytes
        let next = end == sizeBytes ? ErofsLayout.blocks(for: sizeBytes) : end / blockBytes
        bytes.append(littleEndian: type)
        bytes.append(littleEndian: UInt16(start % blockBytes))
        bytes.append(littleEndian: UInt32(truncatingIfNeeded: block))
        for entry in (head + 1)..<max(next, head + 1) {
            bytes.append(littleEndian: Self.notHead)
            bytes.append(littleEndian: UInt16(0))
            let isFirst = entry == head + 1 && type == Self.compressedHead
            bytes.append(
                littleEndian: isFirst
                    ? UInt16(truncatingIfNeeded: cluster.blockCount) | Self.isBlockCount : UInt16(entry - head))
            bytes.append(littleEndian: UInt16(next - entry))
        }
    }
}
