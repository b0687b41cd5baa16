public import Archives
public import HostFiles
public import OCIImages

/// What an image is handed on as: its manifest, or the index above it where everything that this lists is here.
public struct ImageTop: Equatable, Sendable {
    /// An index or a manifest.
    public struct Document: Equatable, Sendable {
        public let part: OCIImageParts.Part
        public let bytes: [UInt8]
    }

    public let document: Document
    /// Manifests and indexes below it, those that others list before them.
    public let below: [Document]
    /// Configurations and layers, each once.
    public let blobs: [OCIImageParts.Part]
    /// How many of the manifests that the image's index lists are not here.
    public let missingManifests: Int
}

extension ImageStore {
    /// What an image came as, if it came as blobs.
    /// - Throws: `.withoutLayers`.
    public func parts(of image: StoredImage) throws(ImageError) -> OCIImageParts {
        guard let manifest = image.manifest else {
            throw ImageError(
                .withoutLayers,
                "\(image.names.first ?? image.shortDigest) was made of plain files and has no layers to hand on; images "
                    + "that were pulled, loaded, or imported from an OCI layout or a docker archive have")
        }
        do {
            return try OCIImageReader(blobs).parts(manifest, sizeBytes: try blobs.sizeBytes(manifest, of: image))
        } catch let error as ImageError {
            throw error
        } catch {
            throw ImageError(.damagedStore, "\(error); pull, load or import the image again")
        }
    }

    /// What an image is handed on as.
    /// - Throws: `.withoutLayers`.
    public func top(of image: StoredImage) throws(ImageError) -> ImageTop {
        let parts = try parts(of: image)
        let manifest = ImageTop.Document(part: parts.manifest, bytes: parts.manifestBytes)
        for part in parts.blobs where !blobs.contains(part.digest) {
            throw ImageError(
                .damagedStore, "a blob of the image, \(part.digest), is missing; pull, load or import it again")
        }
        var walk = IndexWalk(blobs)
        if let index = image.blobs.first, index != parts.manifest.digest,
            let document = try? walk.document(index), walk.missingManifests == 0
        {
            return ImageTop(
                document: document, below: walk.documents, blobs: walk.parts, missingManifests: 0)
        }
        return ImageTop(
            document: manifest, below: [], blobs: parts.blobs, missingManifests: walk.missingManifests)
    }
}

/// Goes through everything that an index leads to.
private struct IndexWalk {
    private let blobs: BlobStore
    private(set) var documents: [ImageTop.Document] = []
    private(set) var parts: [OCIImageParts.Part] = []
    private(set) var missingManifests = 0
    private var known: Set<SHA256Digest> = []

    /// Indexes list few manifests, and hardly ever indexes.
    private static let maximumDocuments = 1000

    init(_ blobs: BlobStore) { self.blobs = blobs }

    /// An index, with all that is below it gathered; nothing of what is missing.
    mutating func document(_ index: SHA256Digest, depth: Int = 0) throws -> ImageTop.Document {
        let reader = OCIImageReader(blobs)
        let (part, bytes, manifests) = try reader.listed(inIndex: index, sizeBytes: try size(index))
        for manifest in manifests where known.insert(manifest.digest).inserted {
            guard blobs.contains(manifest.digest), documents.count < Self.maximumDocuments, depth < 4 else {
                missingManifests += 1
                continue
            }
            if OCIMediaType.isIndex(manifest.mediaType) {
                documents.append(try document(manifest.digest, depth: depth + 1))
                continue
            }
            let below = try reader.blobs(ofManifest: manifest.digest, sizeBytes: manifest.sizeBytes)
            guard below.allSatisfy({ blobs.contains($0.digest) }) else {
                missingManifests += 1
                continue
            }
            documents.append(
                ImageTop.Document(part: manifest, bytes: try reader.document(manifest)))
            for part in below where known.insert(part.digest).inserted { parts.append(part) }
        }
        return ImageTop.Document(part: part, bytes: bytes)
    }

    private func size(_ digest: SHA256Digest) throws -> UInt64 { try blobs.file(digest).status().sizeBytes }
}

extension BlobStore {
    /// Where a blob is, or would be.
    public func file(_ digest: SHA256Digest) -> HostPath { store.folders.blob(digest) }

    func sizeBytes(_ digest: SHA256Digest, of image: StoredImage) throws(ImageError) -> UInt64 {
        do { return try file(digest).status().sizeBytes } catch {
            throw ImageError(
                .damagedStore,
                "a blob of \(image.names.first ?? image.shortDigest), \(digest), is missing; pull, load or import it again"
            )
        }
    }
}
