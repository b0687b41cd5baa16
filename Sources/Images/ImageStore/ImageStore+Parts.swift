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
                "\(image.names.first ?? image.shortDigest) was imported by an earlier version and has no layers to hand on; "
                    + "import it again")
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
        var missing = 0
        if let index = image.blobs.first, index != parts.manifest.digest,
            let contents = try? OCIImageReader(blobs).contents(
                ofIndex: index, sizeBytes: blobs.sizeBytes(index, of: image))
        {
            let incomplete = contents.below.filter { !$0.blobs.allSatisfy { blobs.contains($0.digest) } }
            missing = contents.missing.count + incomplete.count
            if missing == 0 {
                var known: Set<SHA256Digest> = []
                return ImageTop(
                    document: ImageTop.Document(contents.index), below: contents.below.map(ImageTop.Document.init),
                    blobs: contents.below.flatMap(\.blobs).filter { known.insert($0.digest).inserted },
                    missingManifests: 0)
            }
        }
        return ImageTop(document: manifest, below: [], blobs: parts.blobs, missingManifests: missing)
    }
}

extension ImageTop.Document {
    fileprivate init(_ document: OCIIndexContents.Document) {
        self.init(part: document.part, bytes: document.bytes)
    }
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
