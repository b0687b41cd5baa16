public import Archives

/// Everything that an index leads to, as far as its documents are at hand.
public struct OCIIndexContents: Equatable, Sendable {
    /// An index, or the manifest of an image or of something that is said about one.
    public struct Document: Equatable, Sendable {
        public let part: OCIImageParts.Part
        public let bytes: [UInt8]
        /// What a manifest consists of; nothing for an index.
        public let blobs: [OCIImageParts.Part]
    }

    public let index: Document
    /// Each once; what an index lists comes before the index.
    public internal(set) var below: [Document] = []
    /// Manifests and indexes that are not at hand, each once.
    public internal(set) var missing: [OCIImageParts.Part] = []
}

extension OCIImageReader {
    /// The most documents that an index may lead to.
    private static let maximumDocuments = 1000

    /// Everything that an index leads to, verified.
    /// - Throws: `.absent` when the index itself is not there.
    public func contents(ofIndex digest: SHA256Digest, sizeBytes: UInt64) throws(OCIError) -> OCIIndexContents {
        let (index, listed) = try index(digest, sizeBytes: sizeBytes)
        var contents = OCIIndexContents(index: index)
        var known: Set<SHA256Digest> = [digest]
        try gather(listed, into: &contents, &known, depth: 1)
        return contents
    }

    private func gather(
        _ listed: [OCIImageParts.Part], into contents: inout OCIIndexContents, _ known: inout Set<SHA256Digest>,
        depth: Int
    ) throws(OCIError) {
        for part in listed where known.insert(part.digest).inserted {
            guard known.count <= Self.maximumDocuments else {
                throw .invalid("the image's index leads to more than \(Self.maximumDocuments) manifests")
            }
            do throws(OCIError) {
                if OCIMediaType.isIndex(part.mediaType) {
                    guard depth < OCIPlatformChoice.maximumIndexDepth else {
                        throw .invalid("the image's indexes lie too deep in one another")
                    }
                    let (index, inner) = try index(part.digest, sizeBytes: part.sizeBytes)
                    try gather(inner, into: &contents, &known, depth: depth + 1)
                    contents.below.append(index)
                } else {
                    contents.below.append(try manifest(part))
                }
            } catch .absent(let blob) where blob.digest == part.digest {
                contents.missing.append(part)
            }
        }
    }

    private func index(
        _ digest: SHA256Digest, sizeBytes: UInt64
    ) throws(OCIError) -> (OCIIndexContents.Document, listed: [OCIImageParts.Part]) {
        let bytes = try bytes(digest, sizeBytes: sizeBytes, .manifest, "index")
        let index: OCIDocuments.Index = try OCIDocuments.decode(bytes, "index")
        var listed: [OCIImageParts.Part] = []
        for descriptor in index.manifests { listed.append(try Self.part(descriptor, OCIMediaType.manifest)) }
        let part = OCIImageParts.Part(
            mediaType: index.mediaType ?? OCIMediaType.index, digest: digest, sizeBytes: sizeBytes)
        return (OCIIndexContents.Document(part: part, bytes: bytes, blobs: []), listed)
    }

    private func manifest(_ part: OCIImageParts.Part) throws(OCIError) -> OCIIndexContents.Document {
        let bytes = try bytes(part.digest, sizeBytes: part.sizeBytes, .manifest, "manifest")
        let manifest: OCIDocuments.Manifest = try OCIDocuments.decode(bytes, "manifest")
        var blobs = [try Self.part(manifest.config, OCIMediaType.configuration)]
        for layer in manifest.layers { blobs.append(try Self.part(layer, OCIMediaType.layer)) }
        return OCIIndexContents.Document(part: part, bytes: bytes, blobs: blobs)
    }

    private static func part(
        _ descriptor: OCIDocuments.Descriptor, _ usual: String
    ) throws(OCIError) -> OCIImageParts.Part {
        OCIImageParts.Part(
            mediaType: descriptor.mediaType ?? usual, digest: try descriptor.checkedDigest(),
            sizeBytes: try descriptor.checkedSize())
    }
}
