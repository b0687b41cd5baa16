public import Archives

/// One image in the store: a read-only disk, and what it says about the program in it.
public struct StoredImage: Equatable, Sendable {
    /// Every name that points here, sorted; empty for an image that has lost its name.
    public let names: [String]
    /// What identifies the image, disk and configuration together: `sha256:` and 64 digits.
    public let digest: String
    /// The EROFS disk, a file that never changes.
    public let diskPath: String
    /// SHA-256 of that file: `sha256:` and 64 digits.
    public let diskDigest: String
    /// Length of that file.
    public let sizeBytes: UInt64
    /// When it was imported, in seconds since 1970.
    public let importedSeconds: Int64
    public let configuration: ImageConfiguration
    /// The manifest that it came with; nil for one made of plain files.
    public var manifest: SHA256Digest?
    /// What it came as: indexes, manifest, configuration and layers.
    public var blobs: [SHA256Digest] = []

    /// The first twelve digits of the digest, enough for people.
    public var shortDigest: String { String(digest.dropFirst(7).prefix(12)) }
}
