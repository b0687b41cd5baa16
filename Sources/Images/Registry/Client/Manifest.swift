import Archives
import FoundationEssentials

/// A manifest or an index as a registry keeps it: the very bytes whose digest names it, verified.
public struct Manifest: Equatable, Sendable {
    public let descriptor: Descriptor
    public let bytes: [UInt8]

    /// Whether it lists manifests, one for each platform.
    public var isIndex: Bool { MediaType.indexes.contains(descriptor.mediaType) }

    /// The most bytes that a manifest may have; registries refuse more.
    static let maximumBytes = 4 << 20

    /// Source: OCI image-spec, media-types.md; Docker image manifest version 2, schema 2.
    enum MediaType {
        static let manifests = [
            "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
        ]
        static let indexes = [
            "application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
        ]
        static let accepted = (manifests + indexes).joined(separator: ", ")
    }

    private struct Document: Decodable {
        struct Anything: Decodable {}
        let schemaVersion: Int?
        let mediaType: String?
        let config: Anything?
        let layers: Anything?
        let manifests: Anything?
    }

    /// - Throws: `.invalidAnswer`, `.notRegistry`, or `.wrongContent` when it is not what `wanted` names.
    init(
        _ bytes: [UInt8], contentType: String?, announcedDigest: String?, wanted: SHA256Digest?, what: String,
        host: String
    ) throws(RegistryError) {
        let digest = SHA256.digest(of: bytes)
        if let wanted, wanted != digest {
            if ErrorBody.isWebPage(bytes, contentType: contentType) { throw Transport.webPage(host) }
            throw RegistryError(
                .wrongContent, "\(host) sends another \(what) than was asked for: its digest is \(digest)")
        }
        guard let document = try? JSONDecoder().decode(Document.self, from: Data(bytes)) else {
            if ErrorBody.isWebPage(bytes, contentType: contentType) { throw Transport.webPage(host) }
            throw RegistryError(.invalidAnswer, "what \(host) sends as \(what) is no manifest")
        }
        if let announcedDigest, announcedDigest.hasPrefix("sha256:"),
            SHA256Digest(description: announcedDigest) != digest
        {
            throw RegistryError(
                .wrongContent,
                "\(host) announces \(what) as \(Printable.text(announcedDigest, limit: 80)) and sends \(digest)")
        }
        let header = contentType.map { $0.prefix { $0 != ";" }.lowercased() } ?? ""
        let isKnown = (MediaType.manifests + MediaType.indexes).contains(header)
        // Who takes the one for the other believes something that nobody signed.
        if isKnown, let inside = document.mediaType, inside != header {
            throw RegistryError(
                .invalidAnswer,
                "\(host) sends \(what) as \(header), and it says of itself that it is "
                    + Printable.text(inside, limit: 100))
        }
        guard document.schemaVersion != 1 else {
            throw RegistryError(
                .invalidAnswer,
                "\(what) is of Docker's first kind, without digests of its content; push it again with a newer tool")
        }
        let guess = document.manifests != nil && document.layers == nil ? MediaType.indexes[0] : MediaType.manifests[0]
        self.bytes = bytes
        descriptor = Descriptor(
            mediaType: isKnown ? header : document.mediaType.map { Printable.text($0, limit: 200) } ?? guess,
            digest: digest, sizeBytes: UInt64(bytes.count))
    }
}
