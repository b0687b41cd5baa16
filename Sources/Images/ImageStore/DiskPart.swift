import Archives
import ErofsFormat
import HostFiles

/// One of the files that an image's disk is made of; the guest sees them one after the other.
public struct DiskPart: Codable, Equatable, Sendable {
    public enum Kind: String, Codable, Sendable {
        /// The superblock, folders and inodes: of this image alone.
        case metadata
        /// Content of files; images share it.
        case segment
        /// The dm-verity tree over all before.
        case hashes
        /// All of it in one blob, the tree at its end: an appliance's.
        case whole
    }

    static let blockBytes: UInt64 = 4096
    /// The format counts blocks in 32 bits. Trust: records and indexes may have been damaged, and say any number.
    static let maximumBlocks: UInt64 = 1 << 32
    /// A drive of the monitor has up to 256 parts; metadata and hash tree are two.
    static let maximumSegments = 254

    public let kind: Kind
    /// What the file is called: the root hash of the disk, or the segment's own digest.
    public let digits: String
    public let blockCount: UInt64

    /// Those before the tree, of a whole disk; nil for what is one or the other.
    public var wholeDataBlocks: UInt64?
    /// Those that are not the tree's.
    public var dataBlocks: UInt64 { kind == .hashes ? 0 : wholeDataBlocks ?? blockCount }

    public var sizeBytes: UInt64 { blockCount * Self.blockBytes }
}

/// A segment that a disk is to be made of.
struct DiskSegment {
    let name: SHA256Digest
    let layout: ErofsSegment
    /// The file with the digests of its blocks.
    let leaves: HostPath
}
