/// The sizes and numbers that the format fixes.
///
/// Source: Linux fs/erofs/erofs_fs.h.
enum ErofsLayout {
    /// Blocks of 4096 bytes, the only size that every kernel takes.
    static let blockBits: UInt8 = 12
    static let blockBytes = 1 << 12

    static let superblockOffset = 1024
    /// `EROFS_SUPER_MAGIC_V1`.
    static let magic: UInt32 = 0xe0f5_e1e2
    /// `EROFS_FEATURE_COMPAT_SB_CHKSUM`: the superblock's checksum is there.
    static let compatibleChecksum: UInt32 = 1
    /// `EROFS_FEATURE_COMPAT_MTIME`: times are those of the last modification.
    static let compatibleModificationTime: UInt32 = 2
    /// `EROFS_FEATURE_INCOMPAT_ZERO_PADDING`: zeros before what was compressed fill its blocks.
    static let incompatibleZeroPadding: UInt32 = 1
    /// `EROFS_FEATURE_INCOMPAT_COMPR_CFGS`, the same bit as `BIG_PCLUSTER`: the superblock is followed by what each compressor
    /// needs, and clusters may have several blocks.
    static let incompatibleCompression: UInt32 = 2
    /// `EROFS_FEATURE_INCOMPAT_CHUNKED_FILE`: there are files made of chunks.
    static let incompatibleChunkedFile: UInt32 = 4

    /// An inode's place is counted in slots of 32 bytes from the beginning of the metadata: its *nid*.
    static let slotBytes = 32
    /// `sizeof(struct erofs_inode_compact)`.
    static let compactInodeBytes = 32
    /// `sizeof(struct erofs_inode_extended)`.
    static let extendedInodeBytes = 64
    /// `sizeof(struct erofs_xattr_ibody_header)`.
    static let attributeHeaderBytes = 12
    /// `sizeof(struct erofs_dirent)`.
    static let folderEntryBytes = 12

    /// `EROFS_NULL_ADDR`: a chunk that is a hole.
    static let hole: UInt32 = 0xffff_ffff
    /// `EROFS_CHUNK_FORMAT_BLKBITS_MASK`: five bits say how much larger than a block a chunk is.
    static let maximumChunkBitsAboveBlock = 31

    static func blocks(for bytes: UInt64) -> UInt64 {
        bytes / UInt64(blockBytes) + (bytes % UInt64(blockBytes) == 0 ? 0 : 1)
    }
}

/// How an inode's data is laid out. Source: Linux fs/erofs/erofs_fs.h, `EROFS_INODE_*`.
enum ErofsDataLayout: UInt16 {
    /// Whole blocks one after the other.
    case flatPlain = 0
    /// A table follows the inode with an entry for each block of the file's length: `EROFS_INODE_COMPRESSED_FULL`.
    case compressed = 1
    /// As `flatPlain`, but the bytes after the last whole block follow the inode.
    case flatInline = 2
    /// A table of block numbers follows the inode, one for each chunk.
    case chunkBased = 4
}

/// What kind of file a folder's entry leads to. Source: Linux include/linux/fs_types.h, `FT_*`.
enum ErofsFileType: UInt8 {
    case regularFile = 1
    case folder = 2
    case characterDevice = 3
    case blockDevice = 4
    case fifo = 5
    case symbolicLink = 7
}

/// Little-endian fields appended to bytes.
extension [UInt8] {
    mutating func append<T: FixedWidthInteger>(littleEndian value: T) {
        for byte in 0..<(T.bitWidth / 8) { append(UInt8(truncatingIfNeeded: value >> T(8 * byte))) }
    }

    mutating func appendZeros(_ count: Int) { append(contentsOf: repeatElement(0, count: count)) }

    /// Fills up with zeros to a multiple of `alignment`.
    mutating func pad(to alignment: Int) {
        let rest = count % alignment
        if rest > 0 { appendZeros(alignment - rest) }
    }
}
