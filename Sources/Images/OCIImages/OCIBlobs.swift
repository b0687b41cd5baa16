public import Archives
public import FileTrees

/// A blob that is wanted.
public struct OCIBlob: Hashable, Sendable {
    /// Registries keep the two apart.
    public enum Kind: Sendable {
        /// An index or a manifest.
        case manifest
        /// A configuration or a layer.
        case blob
    }

    public let digest: SHA256Digest
    public let sizeBytes: UInt64
    public let kind: Kind

    public init(_ digest: SHA256Digest, sizeBytes: UInt64, kind: Kind) {
        self.digest = digest
        self.sizeBytes = sizeBytes
        self.kind = kind
    }
}

/// Where the blobs of images lie, each under its digest: a layout, or a store.
///
/// Whoever asks verifies what comes; a place need not.
public protocol OCIBlobs: Sendable {
    /// - Throws: `.absent` when it is not there.
    func content(of blob: OCIBlob) throws(OCIError) -> FileContent
}
