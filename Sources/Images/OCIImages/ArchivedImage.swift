public import Archives
public import FileTrees

/// An image in an archive, chosen for a processor, with everything that it is made of.
public struct ArchivedImage: Sendable {
    /// What the archive calls it.
    public struct Name: Hashable, Sendable {
        public let text: String
        /// Whether it is meant as registries name images, so that `box:1` is one of the default registry's.
        public let isReference: Bool
        /// The same, or a part of it, as somebody else may have said it: a tag, or `box:1` for the above.
        public var shorter: String?
    }

    /// Where a blob's bytes are; whoever copies them verifies them.
    public enum Content: Sendable {
        case bytes([UInt8])
        case file(FileContent)
    }

    /// A layer of an image that came without a manifest.
    public struct Layer: Sendable {
        public let mediaType: String
        /// Of the layer as it is stored.
        public let digest: SHA256Digest
        public let content: FileContent

        public init(mediaType: String, digest: SHA256Digest, content: FileContent) {
            self.mediaType = mediaType
            self.digest = digest
            self.content = content
        }
    }

    public let names: [Name]
    public let image: OCIImage
    /// Nil for an image that came with a manifest, which decides how its layers are stored.
    public let ownLayers: [Layer]?
    /// The indexes from the top to the manifest, then everything else that they lead to and that is in the archive.
    public let companions: [SHA256Digest]
    /// Those, and manifest, configuration and layers; each once.
    public let blobs: [(digest: SHA256Digest, content: Content)]
    /// What the archive holds of signatures, of this image and of others: a manifest each, and what its layers hold.
    public var signatureDocuments: [[[UInt8]]] = []
}

/// Images in one file or folder: an OCI layout, or what `docker save` writes.
public enum ImageArchive: Sendable {
    case layout(OCILayout)
    case docker(DockerArchive)

    /// Nil for files that are neither.
    public init?(_ files: FileTree) throws(OCIError) {
        if OCILayout.isLayout(files) {
            self = .layout(try OCILayout(files))
        } else if DockerArchive.isArchive(files) {
            self = .docker(try DockerArchive(files))
        } else {
            return nil
        }
    }

    /// Every image, for one processor, in the archive's order.
    public func images(architecture: String) throws(OCIError) -> [ArchivedImage] {
        switch self {
        case .layout(let layout): try layout.images(architecture: architecture)
        case .docker(let archive): try archive.images(architecture: architecture)
        }
    }

    /// The only image, or the one of that name.
    public func image(architecture: String, reference: String?) throws(OCIError) -> ArchivedImage {
        switch self {
        case .layout(let layout): try layout.archived(architecture: architecture, reference: reference)
        case .docker(let archive): try archive.image(architecture: architecture, reference: reference)
        }
    }
}

extension OCILayout {
    /// The image for a processor, with its blobs. `reference` chooses by name where there are several.
    func archived(architecture: String, reference: String?) throws(OCIError) -> ArchivedImage {
        try archived(try candidates(reference), architecture)
    }

    /// The image of each name. What has no name is one image more.
    func images(architecture: String) throws(OCIError) -> [ArchivedImage] {
        var groups: [(name: ArchivedImage.Name?, candidates: [OCIDocuments.Descriptor])] = []
        for descriptor in try candidates(nil) {
            let name = Self.name(descriptor)
            if let index = groups.firstIndex(where: { $0.name == name }) {
                groups[index].candidates.append(descriptor)
            } else {
                groups.append((name, [descriptor]))
            }
        }
        var images: [ArchivedImage] = []
        for group in groups { images.append(try archived(group.candidates, architecture)) }
        // One image under several names is one.
        var merged: [ArchivedImage] = []
        for image in images {
            let digest = image.image.manifestDigest
            if let index = merged.firstIndex(where: { $0.image.manifestDigest == digest }) {
                let names = merged[index].names + image.names
                let fuller = merged[index].blobs.count < image.blobs.count ? image : merged[index]
                merged[index] = ArchivedImage(
                    names: names, image: fuller.image, ownLayers: nil, companions: fuller.companions,
                    blobs: fuller.blobs)
            } else {
                merged.append(image)
            }
        }
        let signatures = try signatureDocuments()
        for index in merged.indices { merged[index].signatureDocuments = signatures }
        return merged
    }

    private static func name(_ descriptor: OCIDocuments.Descriptor) -> ArchivedImage.Name? {
        if let name = descriptor.containerdName {
            return ArchivedImage.Name(text: name, isReference: true, shorter: descriptor.referenceName)
        }
        return descriptor.referenceName.map { ArchivedImage.Name(text: $0, isReference: false) }
    }

    private func archived(
        _ candidates: [OCIDocuments.Descriptor], _ architecture: String
    ) throws(OCIError) -> ArchivedImage {
        let reader = OCIImageReader(self)
        let image = try reader.image(outOf: candidates, architecture: architecture)
        var indexes: [OCIDocuments.Descriptor] = []
        if !candidates.contains(where: { $0.digest == "\(image.manifestDigest)" }) {
            for candidate in candidates where candidate.isIndex && indexes.isEmpty {
                indexes = try reader.path(from: candidate, to: image.manifestDigest, depth: 0) ?? []
            }
        }
        var names: [ArchivedImage.Name] = []
        let wanted = indexes.first?.digest ?? "\(image.manifestDigest)"
        for candidate in candidates where candidate.digest == wanted {
            if let name = Self.name(candidate), !names.contains(name) { names.append(name) }
        }
        var companions: [SHA256Digest] = []
        for index in indexes { companions.append(try index.checkedDigest()) }
        if let top = indexes.first {
            let contents = try reader.contents(ofIndex: try top.checkedDigest(), sizeBytes: try top.checkedSize())
            for document in contents.below where document.blobs.allSatisfy(isThere) {
                companions += [document.part.digest] + document.blobs.map(\.digest)
            }
        }
        var blobs: [(SHA256Digest, ArchivedImage.Content)] = []
        var known: Set<SHA256Digest> = []
        let own = [image.manifestDigest, image.configurationDigest] + image.layers.map(\.digest)
        for digest in companions + own where known.insert(digest).inserted {
            blobs.append((digest, .file(try content(of: OCIBlob(digest, sizeBytes: 0, kind: .blob)))))
        }
        let ownOnly = Set(own)
        return ArchivedImage(
            names: names, image: image, ownLayers: nil, companions: companions.filter { !ownOnly.contains($0) },
            blobs: blobs)
    }

    private func isThere(_ part: OCIImageParts.Part) -> Bool {
        (try? content(of: OCIBlob(part.digest, sizeBytes: part.sizeBytes, kind: .blob))) != nil
    }
}

extension OCIImageReader {
    /// The indexes from `index` to the one that lists a manifest; nil where it does not lead there.
    func path(
        from index: OCIDocuments.Descriptor, to manifest: SHA256Digest, depth: Int
    ) throws(OCIError) -> [OCIDocuments.Descriptor]? {
        guard depth < OCIPlatformChoice.maximumIndexDepth else { return nil }
        let document: OCIDocuments.Index = try document(index, .manifest, "index")
        if document.manifests.contains(where: { $0.digest == "\(manifest)" }) { return [index] }
        var tried: Set<String> = []
        for inner in document.manifests where inner.isIndex && tried.insert(inner.digest).inserted {
            do {
                if let rest = try path(from: inner, to: manifest, depth: depth + 1) { return [index] + rest }
            } catch .invalid, .absent {
                continue  // an archive need not hold what it does not want
            }
        }
        return nil
    }
}
