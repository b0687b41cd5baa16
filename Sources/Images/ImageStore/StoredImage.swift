public import Archives

/// One image in the store: a read-only disk, and what it says about the program in it.
public struct StoredImage: Equatable, Sendable {
    /// Every name that points here, sorted; empty for an image that has lost its name.
    public let names: [String]
    /// What identifies the image, disk and configuration together: `sha256:` and 64 digits.
    public let digest: String
    /// The files that the EROFS disk is made of, which never change: the guest sees them one after the other. None where the
    /// image is damaged.
    public let diskPaths: [String]
    /// What the disk is made of, in the same order.
    public let parts: [DiskPart]
    /// The root hash of the disk's dm-verity tree: `sha256:` and 64 digits.
    public let diskDigest: String
    /// When it was imported, in seconds since 1970.
    public let importedSeconds: Int64
    public let configuration: ImageConfiguration
    /// The manifest that it came with, or got; nil for one that an earlier version made of plain files.
    public var manifest: SHA256Digest?
    /// What it came as: indexes, manifest, configuration and layers.
    public var blobs: [SHA256Digest] = []

    /// What signatures came with it, the newest last.
    public var signatures: [StoredSignatures] = []

    /// What a signature of it is of: the index that it came by, else its manifest; nil for one that has neither.
    public var subject: SHA256Digest? { blobs.first ?? manifest }

    /// Length of the disk.
    public var sizeBytes: UInt64 { parts.reduce(0) { $0 + $1.sizeBytes } }

    /// `diskDigest` as bytes; nil for a damaged image.
    public var rootHash: SHA256Digest? { SHA256Digest(description: diskDigest) }

    /// How many of the disk's blocks hold data; the hash tree comes after them.
    public var dataBlockCount: UInt64 { parts.reduce(0) { $0 + $1.dataBlocks } }

    /// The first twelve digits of the digest, enough for people.
    public var shortDigest: String { String(digest.dropFirst(7).prefix(12)) }
}
