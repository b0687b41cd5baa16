public import Archives

/// All that one image is made of and says of itself: what is wanted to show it, and to hand it on as it came.
///
/// Every text is foreign.
public struct OCIImageParts: Equatable, Sendable {
    /// One blob and what it is.
    public struct Part: Hashable, Sendable {
        public let mediaType: String
        public let digest: SHA256Digest
        public let sizeBytes: UInt64

        public init(mediaType: String, digest: SHA256Digest, sizeBytes: UInt64) {
            self.mediaType = mediaType
            self.digest = digest
            self.sizeBytes = sizeBytes
        }
    }

    public struct Layer: Hashable, Sendable {
        public let part: Part
        /// Of the tar in it.
        public let tarDigest: SHA256Digest
    }

    /// One of the steps in which an image was built.
    public struct Step: Equatable, Sendable {
        /// RFC 3339.
        public let created: String?
        public let command: String
        public let comment: String
        public let author: String
        /// Nil where the step made no layer, or nobody can know which.
        public let layer: Layer?
        public let isEmpty: Bool
    }

    /// Nil for an image of a container.
    public let artifactType: String?
    public let manifest: Part
    public let manifestBytes: [UInt8]
    public let configuration: Part
    public let configurationBytes: [UInt8]
    /// The lowest first.
    public let layers: [Layer]
    public let operatingSystem: String
    public let architecture: String
    public let variant: String
    /// RFC 3339.
    public let created: String?
    public let author: String
    /// The oldest first.
    public let history: [Step]

    /// `linux/amd64`, `linux/arm/v7`.
    public var platform: String {
        [operatingSystem, architecture, variant].filter { !$0.isEmpty }.joined(separator: "/")
    }

    /// Configuration and layers, each once.
    public var blobs: [Part] {
        var known: Set<SHA256Digest> = []
        return ([configuration] + layers.map(\.part)).filter { known.insert($0.digest).inserted }
    }
}

extension OCIImageReader {
    /// All that an image is made of, by its manifest.
    public func parts(_ digest: SHA256Digest, sizeBytes: UInt64) throws(OCIError) -> OCIImageParts {
        let manifestBytes = try bytes(digest, sizeBytes: sizeBytes, .manifest, "manifest")
        let manifest: OCIDocuments.Manifest = try OCIDocuments.decode(manifestBytes, "manifest")
        let configuration = OCIImageParts.Part(
            mediaType: manifest.config.mediaType ?? OCIMediaType.configuration,
            digest: try manifest.config.checkedDigest(), sizeBytes: try manifest.config.checkedSize())
        let configurationBytes = try bytes(
            configuration.digest, sizeBytes: configuration.sizeBytes, .blob, "configuration")
        // What describes an artifact is its maker's.
        let description: OCIDocuments.Description =
            manifest.artifactType == nil
            ? try OCIDocuments.decode(configurationBytes, "configuration") : OCIDocuments.Description()
        let tarDigests =
            manifest.artifactType == nil
            ? description.rootFileSystem?.layerDigests ?? [] : manifest.layers.map(\.digest)
        guard tarDigests.count == manifest.layers.count else {
            throw .invalid(
                "the image's manifest has \(manifest.layers.count) layers, its configuration \(tarDigests.count)")
        }
        var layers: [OCIImageParts.Layer] = []
        for (layer, tarDigest) in zip(manifest.layers, tarDigests) {
            layers.append(
                OCIImageParts.Layer(
                    part: OCIImageParts.Part(
                        mediaType: layer.mediaType ?? OCIMediaType.layer, digest: try layer.checkedDigest(),
                        sizeBytes: try layer.checkedSize()), tarDigest: try OCIDocuments.digest(tarDigest)))
        }
        return OCIImageParts(
            artifactType: manifest.artifactType,
            manifest: OCIImageParts.Part(
                mediaType: manifest.mediaType ?? OCIMediaType.manifest, digest: digest, sizeBytes: sizeBytes),
            manifestBytes: manifestBytes, configuration: configuration, configurationBytes: configurationBytes,
            layers: layers, operatingSystem: description.os ?? "linux", architecture: description.architecture ?? "",
            variant: description.variant ?? "", created: description.created, author: description.author ?? "",
            history: Self.steps(description.history ?? [], layers))
    }

    /// Which step made which layer is only known where those that made one are as many as the layers.
    private static func steps(
        _ steps: [OCIDocuments.Description.Step], _ layers: [OCIImageParts.Layer]
    ) -> [OCIImageParts.Step] {
        var left = layers[...]
        let isKnown = steps.count { $0.isEmpty != true } == layers.count
        return steps.map { step in
            let isEmpty = step.isEmpty == true
            return OCIImageParts.Step(
                created: step.created, command: step.command ?? "", comment: step.comment ?? "",
                author: step.author ?? "", layer: isEmpty || !isKnown ? nil : left.popFirst(), isEmpty: isEmpty)
        }
    }
}
