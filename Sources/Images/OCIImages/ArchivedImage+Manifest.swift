import Archives
import FoundationEssentials

extension ArchivedImage {
    private struct Descriptor: Encodable {
        let mediaType: String
        let digest: String
        let size: UInt64
    }

    private struct Manifest: Encodable {
        let schemaVersion = 2
        let mediaType = OCIMediaType.manifest
        let config: Descriptor
        let layers: [Descriptor]
    }

    /// An image that has no manifest yet: it gets one that depends on its configuration and layers alone.
    /// - Parameter configuration: a document as OCI describes it, which names the layers' tars.
    public init(names: [Name], configuration: [UInt8], layers: [Layer]) throws(OCIError) {
        let document: OCIDocuments.Configuration = try OCIDocuments.decode(configuration, "configuration")
        let configurationDigest = SHA256.digest(of: configuration)
        let manifest = Manifest(
            config: Descriptor(
                mediaType: OCIMediaType.configuration, digest: "\(configurationDigest)",
                size: UInt64(configuration.count)),
            layers: layers.map {
                Descriptor(mediaType: $0.mediaType, digest: "\($0.digest)", size: $0.content.sizeBytes)
            })
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let bytes: [UInt8]
        do { bytes = Array(try encoder.encode(manifest)) } catch {
            throw .invalid("no manifest can be made of what the archive says")
        }
        let digest = SHA256.digest(of: bytes)
        var known: Set<SHA256Digest> = []
        let blobs: [(SHA256Digest, Content)] =
            [(configurationDigest, .bytes(configuration))] + layers.map { ($0.digest, .file($0.content)) }
            + [(digest, .bytes(bytes))]
        self.init(
            names: names,
            image: try OCIImageReader.image(digest, try OCIDocuments.decode(bytes, "manifest"), document),
            ownLayers: layers, companions: [], blobs: blobs.filter { known.insert($0.0).inserted })
    }
}
