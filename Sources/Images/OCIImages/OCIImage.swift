public import Archives

/// One image of a layout, chosen and verified: what it says about its program, and its layers.
public struct OCIImage: Equatable, Sendable {
    public struct Layer: Hashable, Sendable {
        /// Of the blob as stored.
        public let digest: SHA256Digest
        public let sizeBytes: UInt64
        /// Of the tar in it.
        public let tarDigest: SHA256Digest
    }

    /// Digest of the manifest.
    public let manifestDigest: SHA256Digest
    public let configurationDigest: SHA256Digest
    /// The lowest first.
    public let layers: [Layer]
    public let architecture: String
    public let user: String
    public let environment: [String]
    public let entrypoint: [String]
    public let command: [String]
    public let workingDirectory: String
    public let labels: [String: String]
    public let exposedPorts: [String]
    public let volumes: [String]
    public let stopSignal: String
}
