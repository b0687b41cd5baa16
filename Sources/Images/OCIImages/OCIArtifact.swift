public import Archives
import FoundationEssentials

/// Something in a registry or a layout that is no image: a configuration and files, with what they are said to be.
///
/// Trust: what it says is foreign; each part is to be verified by its digest and length.
/// Source: OCI image-spec, manifest.md, "Guidelines for Artifact Usage".
public struct OCIArtifact: Equatable, Sendable {
    public struct Part: Equatable, Sendable {
        public let mediaType: String
        public let digest: SHA256Digest
        public let sizeBytes: UInt64
        /// A file's name; nil for what has none.
        public let title: String?

        public init(mediaType: String, digest: SHA256Digest, sizeBytes: UInt64, title: String? = nil) {
            self.mediaType = mediaType
            self.digest = digest
            self.sizeBytes = sizeBytes
            self.title = title
        }

        public var blob: OCIBlob { OCIBlob(digest, sizeBytes: sizeBytes, kind: .blob) }
    }

    /// Where a part's name stands among its annotations. Source: OCI image-spec, annotations.md.
    private static let titleKey = "org.opencontainers.image.title"

    public let artifactType: String
    public let configuration: Part
    public let layers: [Part]

    public init(artifactType: String, configuration: Part, layers: [Part]) {
        self.artifactType = artifactType
        self.configuration = configuration
        self.layers = layers
    }

    /// Reads a manifest, whose bytes somebody has verified.
    /// - Throws: also for an image's.
    public init(parsing bytes: [UInt8]) throws(OCIError) {
        let manifest: OCIDocuments.Manifest = try OCIDocuments.decode(bytes, "manifest")
        guard let type = manifest.artifactType else {
            throw .invalid("this is an image or an index, and no artifact of another kind")
        }
        artifactType = type
        configuration = try Self.part(manifest.config)
        var layers: [Part] = []
        for layer in manifest.layers { layers.append(try Self.part(layer)) }
        self.layers = layers
    }

    private static func part(_ descriptor: OCIDocuments.Descriptor) throws(OCIError) -> Part {
        Part(
            mediaType: descriptor.mediaType ?? "", digest: try descriptor.checkedDigest(),
            sizeBytes: try descriptor.checkedSize(), title: descriptor.annotations?[titleKey])
    }

    private struct Document: Encodable {
        struct Descriptor: Encodable {
            let mediaType: String
            let digest: String
            let size: UInt64
            let annotations: [String: String]?

            init(_ part: Part) {
                (mediaType, digest, size) = (part.mediaType, "\(part.digest)", part.sizeBytes)
                annotations = part.title.map { [titleKey: $0] }
            }
        }

        let schemaVersion = 2
        let mediaType = OCIMediaType.manifest
        let artifactType: String
        let config: Descriptor
        let layers: [Descriptor]
    }

    /// The same artifact is always the same bytes.
    public var manifest: [UInt8] {
        Self.json(
            Document(
                artifactType: artifactType, config: Document.Descriptor(configuration),
                layers: layers.map { Document.Descriptor($0) }))
    }

    private struct Index: Encodable {
        struct Descriptor: Encodable {
            let mediaType = OCIMediaType.manifest
            let artifactType: String
            let digest: String
            let size: Int
            let annotations: [String: String]
        }

        let schemaVersion = 2
        let mediaType = OCIMediaType.index
        let manifests: [Descriptor]
    }

    /// The documents of an OCI layout with this artifact alone, by their paths, and where a part lies in it.
    public func layout(named name: String) -> [(path: String, bytes: [UInt8])] {
        let manifest = manifest
        let digest = SHA256.digest(of: manifest)
        let descriptor = Index.Descriptor(
            artifactType: artifactType, digest: "\(digest)", size: manifest.count,
            annotations: ["org.opencontainers.image.ref.name": name])
        return [
            ("oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8)),
            ("index.json", Self.json(Index(manifests: [descriptor]))), (OCILayout.path(digest), manifest),
        ]
    }

    private static func json(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Texts and numbers that any of these can hold.
        return (try? encoder.encode(value)).map { Array($0) } ?? []
    }
}

extension OCILayout {
    /// Where a blob lies in a layout.
    public static func path(_ digest: SHA256Digest) -> String { "blobs/sha256/\(digest.hex)" }

    /// The artifact of a layout that has one thing alone, besides signatures.
    /// - Throws: for a layout with several, or with an image.
    public func artifact() throws(OCIError) -> (digest: SHA256Digest, artifact: OCIArtifact) {
        let listed = try candidates(nil)
        guard let descriptor = listed.first, listed.count == 1 else {
            throw .noSuchImage("there are \(listed.count) things in it, and one is wanted")
        }
        let digest = try descriptor.checkedDigest()
        let blob = OCIBlob(digest, sizeBytes: try descriptor.checkedSize(), kind: .manifest)
        let bytes = try OCIImageReader(self).bytes(digest, sizeBytes: blob.sizeBytes, .manifest, "manifest")
        return (digest, try OCIArtifact(parsing: bytes))
    }

    /// A small part's bytes, verified.
    public func bytes(of part: OCIArtifact.Part) throws(OCIError) -> [UInt8] {
        try OCIImageReader(self).bytes(part.digest, sizeBytes: part.sizeBytes, .blob, "description")
    }
}
