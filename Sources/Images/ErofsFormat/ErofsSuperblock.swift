/// The 128 bytes at offset 1024 that everything else is found from.
///
/// Source: Linux fs/erofs/erofs_fs.h, `struct erofs_super_block`; fs/erofs/super.c, `erofs_superblock_csum_verify`.
struct ErofsSuperblock {
    var rootSlot: UInt16
    var inodeCount: UInt64
    /// The time that all compact inodes have.
    var buildSeconds: Int64
    var buildNanoseconds: UInt32
    var blockCount: UInt32
    /// Where slot 0 lies.
    var metadataBlock: UInt32
    var identifier: [UInt8]
    var hasChunkedFiles: Bool

    /// The first block of the image, with this superblock in it and its checksum set.
    func firstBlock() -> [UInt8] {
        var bytes = encoded(checksum: 0)
        // The checksum covers the block from the superblock on, the checksum itself taken as zero.
        let covered = bytes + [UInt8](repeating: 0, count: ErofsLayout.blockBytes - ErofsLayout.superblockOffset - 128)
        bytes = encoded(checksum: CRC32C.checksum(covered))
        var block = [UInt8](repeating: 0, count: ErofsLayout.superblockOffset)
        block += bytes
        block.pad(to: ErofsLayout.blockBytes)
        return block
    }

    private func encoded(checksum: UInt32) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: ErofsLayout.magic)
        bytes.append(littleEndian: checksum)
        bytes.append(littleEndian: ErofsLayout.compatibleChecksum | ErofsLayout.compatibleModificationTime)
        bytes.append(ErofsLayout.blockBits)
        bytes.append(0)  // no extension slots
        bytes.append(littleEndian: rootSlot)
        bytes.append(littleEndian: inodeCount)
        bytes.append(littleEndian: UInt64(bitPattern: buildSeconds))
        bytes.append(littleEndian: buildNanoseconds)
        bytes.append(littleEndian: blockCount)
        bytes.append(littleEndian: metadataBlock)
        bytes.append(littleEndian: UInt32(0))  // no shared attributes
        bytes += identifier.prefix(16)
        bytes.appendZeros(16)  // no volume name
        bytes.append(littleEndian: hasChunkedFiles ? ErofsLayout.incompatibleChunkedFile : 0)
        bytes.appendZeros(128 - bytes.count)  // no compression, no further devices, no packed inode
        return bytes
    }
}
