public import Archives

/// Where a regular file's bytes lie in the blocks of a disk's segment, and how.
///
/// Blocks are counted from the beginning of the segment, so that a segment serves every disk that it becomes part of.
public final class PackedContent: Sendable {
    public enum Form: Equatable, Sendable {
        /// Too small for blocks: the bytes lie at that offset among the segment's small contents.
        case small(offset: UInt64)
        /// Whole blocks one after the other, the last one filled up with zeros.
        case flat(block: UInt32)
        case chunked(Chunks)
        /// Ascending and without gaps, the first at offset 0.
        case compressed([Cluster])
    }

    /// A file with holes, cut into chunks of `1 << bits` bytes.
    public struct Chunks: Equatable, Sendable {
        public let bits: Int
        /// The first block of each, or nil where it is a hole.
        public let blocks: [UInt32?]

        public init(bits: Int, blocks: [UInt32?]) {
            self.bits = bits
            self.blocks = blocks
        }
    }

    /// A part of a file that is compressed as a whole, or that is not worth it: then each block of the disk holds what lies in one
    /// block of the file, the first perhaps only the end of one.
    public struct Cluster: Equatable, Sendable {
        /// Where in the file it begins.
        public let offset: UInt64
        public let block: UInt32
        public let blockCount: UInt32
        public let isPlain: Bool

        public init(offset: UInt64, block: UInt32, blockCount: UInt32, isPlain: Bool) {
            self.offset = offset
            self.block = block
            self.blockCount = blockCount
            self.isPlain = isPlain
        }
    }

    /// Length as a program sees it.
    public let sizeBytes: UInt64
    public let form: Form
    /// Which of the disk's segments, counted in the order in which they lie there.
    public let segment: Int

    public init(sizeBytes: UInt64, form: Form, segment: Int) {
        self.sizeBytes = sizeBytes
        self.form = form
        self.segment = segment
    }
}

/// Puts the content of files into a segment.
public protocol ContentPacker: AnyObject {
    /// Takes all that `content` gives, at once.
    func pack(_ content: any PackableContent) throws(FileTreeError) -> PackedContent
}

/// A regular file's content as it comes: stored bytes in order, and where the holes are.
public protocol PackableContent: AnyObject {
    /// Length as a program sees it.
    var sizeBytes: UInt64 { get }
    /// Where the stored bytes lie in the file: ascending, without overlap, none empty, all within `sizeBytes`.
    var extents: [TarEntry.Extent] { get }
    /// The next stored bytes into the start of `buffer`; zero after the last one.
    func read(into buffer: inout [UInt8]) throws(FileTreeError) -> Int
}
