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
    var hasCompressedFiles: Bool

    /// The first block of the image, with this superblock in it and its checksum set.
    func firstBlock() -> [UInt8] {
        var bytes = encoded(checksum: 0)
        // The checksum covers the block from the superblock on, the checksum itself taken as zero.
        bytes.pad(to: ErofsLayout.blockBytes - ErofsLayout.superblockOffset)
        bytes = encoded(checksum: CRC32C.checksum(bytes))
        var block = [UInt8](repeating: 0, count: ErofsLayout.superblockOffset)
        block += bytes
        block.pad(to: ErofsLayout.blockBytes)
        return block
    }

    /// The superblock and the compressor's settings.
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
        bytes.append(littleEndian: incompatibleFeatures)
        // The compressors that are used, a bit for each; LZ4 is the first.
        bytes.append(littleEndian: UInt16(hasCompressedFiles ? 1 : 0))
        bytes.appendZeros(128 - bytes.count)  // no further devices, no packed inode
        if hasCompressedFiles { bytes += lz4Settings }
        return bytes
    }

    private var incompatibleFeatures: UInt32 {
        var features: UInt32 = 0
        if hasChunkedFiles { features |= ErofsLayout.incompatibleChunkedFile }
        if hasCompressedFiles { features |= ErofsLayout.incompatibleZeroPadding | ErofsLayout.incompatibleCompression }
        return features
    }

    /// Its length, then `struct z_erofs_lz4_cfgs`.
    private var lz4Settings: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt16(14))
        bytes.append(littleEndian: UInt16.max)  // how far back LZ4 ever looks
        bytes.append(littleEndian: UInt16(ClusterCompressor.clusterBytes / ErofsLayout.blockBytes))
        bytes.appendZeros(10)
        return bytes
    }
}
