public import Archives

/// What a layer's index says of the layer as a whole.
public struct LayerSummary: Equatable, Sendable {
    /// SHA-256 of the digests of all blocks of the layer's segment: what the segment is called.
    public let segment: SHA256Digest
    public let blockCount: UInt64
    /// SHA-256 of the contents that are too small for blocks.
    public let small: SHA256Digest
}

/// How a converted layer is written down: what its tar said of each entry, and where in the layer's segment the content lies.
///
///     8 bytes   "swlayer1"
///     records   one for each entry of the tar, in its order; the last is `end`
///     32 bytes  SHA-256 of all before
///
/// Numbers are little-endian; a text is its length in four bytes, then its bytes. A record is: kind (1 byte), path, mode (2),
/// owner (4), group (4), modification time in seconds (8) and nanoseconds (4), number of extended attributes (4) and each
/// one's name and value; then what its kind wants. The record `end` has its kind, the segment's name and number of blocks, and the digest
/// of the small contents.
enum LayerIndex {
    static let magic = Array("swlayer1".utf8)

    enum Kind: UInt8 {
        case end = 0
        case file = 1
        case hardLink = 2
        case symbolicLink = 3
        case characterDevice = 4
        case blockDevice = 5
        case folder = 6
        case fifo = 7
    }

    enum Form: UInt8 {
        /// Offset (8) among the small contents.
        case small = 0
        /// First block (4).
        case flat = 1
        /// Bits of a chunk (1), number of chunks (4), first block of each (4), `hole` for none.
        case chunked = 2
        /// Number of clusters (4); offset (8), first block (4), number of blocks (4) and whether it is plain (1) of each.
        case compressed = 3
    }

    /// Length of the record `end`.
    static let endBytes = 1 + SHA256Digest.byteCount + 8 + SHA256Digest.byteCount

    static let hole = UInt32.max
    /// A path or a link's target may be as long as a tar's long name; an attribute as long as Linux has it.
    static let maximumTextBytes: UInt32 = 1 << 20
}
