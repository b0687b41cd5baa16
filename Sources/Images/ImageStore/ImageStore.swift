import Archives
import HostFiles

/// The images of one user on this machine, by name and by digest.
///
/// Several processes may use one store at once. Nothing in it changes after it is written, except which names point where.
/// A process that dies at any moment leaves the store as it was before or after the operation; what it left half-done is
/// removed by the next operation that changes something.
public struct ImageStore: Sendable {
    /// The store's own folder; made when something is first written.
    public let root: String

    let folders: StoreFolders

    public init(root: String) {
        self.root = root
        folders = StoreFolders(root: HostPath(root))
    }

    /// The image that a name means, or a digest (`sha256:…`), or the first four or more digits of one.
    public func resolve(_ reference: String) throws(ImageError) -> StoredImage {
        let index = try index()
        return try image(try digest(of: reference, in: index), index)
    }

    /// Every image, in the order of their names. One that is damaged is listed too, with no `diskPaths`.
    public func list() throws(ImageError) -> [StoredImage] {
        let index = try index()
        var images: [StoredImage] = []
        for text in kept(by: index) {
            guard let digest = SHA256Digest(description: text) else { throw damaged(text) }
            images.append(imageEvenIfDamaged(digest, index))
        }
        return images.sorted { ($0.names.first ?? "", $0.digest) < ($1.names.first ?? "", $1.digest) }
    }

    /// Takes a name away, and the image with it when no other name points there; a digest takes the image and all its
    /// names away. What somebody holds stays without a name: see `hold`.
    /// - Returns: the image as it was.
    @discardableResult
    public func remove(_ reference: String) throws(ImageError) -> StoredImage {
        // An unknown image must not make the store.
        _ = try digest(of: reference, in: try index())
        return try whileLocked { () throws(ImageError) in
            var index = try index()
            let digest = try digest(of: reference, in: index)
            let removed = imageEvenIfDamaged(digest, index)
            if removed.names.isEmpty {
                throw ImageError(
                    .imageInUse,
                    "the image \(removed.shortDigest) has no name and is kept for a machine; `swiftlet ps --all` shows them, "
                        + "and it goes with that"
                )
            }
            if index.names.removeValue(forKey: reference) == nil {
                index.names = index.names.filter { $0.value != digest.description }
            }
            try write(index)
            collectLeftovers(keeping: index)
            return removed
        }
    }

    // MARK: - Reading

    func index() throws(ImageError) -> StoreDocuments.Index {
        do throws(HostFileError) { _ = try folders.index.status() } catch {
            // Only of a store that is not there yet is it known that it holds nothing.
            guard error.isAbsent else { throw ImageError(error, in: .damagedStore) }
            return StoreDocuments.Index()
        }
        let index: StoreDocuments.Index = try StoreDocuments.decode(folders.index)
        guard index.version == 1 else {
            throw ImageError(.damagedStore, "\(folders.index) was written by a newer version of this program")
        }
        return index
    }

    func digest(of reference: String, in index: StoreDocuments.Index) throws(ImageError) -> SHA256Digest {
        if let text = index.names[reference] {
            guard let digest = SHA256Digest(description: text) else { throw damaged(text) }
            return digest
        }
        guard let prefix = ImageNames.digestPrefix(reference) else { throw unknown(reference, index) }
        let matches = kept(by: index).filter { $0.dropFirst(7).hasPrefix(prefix) }
        guard let first = matches.first else { throw unknown(reference, index) }
        guard matches.count == 1 else {
            throw ImageError(
                .ambiguousReference,
                "the digests of \(matches.count) images begin with \"\(prefix)\"; give more digits")
        }
        guard let digest = SHA256Digest(description: first) else { throw damaged(first) }
        return digest
    }

    func image(_ digest: SHA256Digest, _ index: StoreDocuments.Index) throws(ImageError) -> StoredImage {
        let record: StoreDocuments.Record = try StoreDocuments.decode(folders.record(digest))
        guard try record.identity.digest() == digest, let disk = SHA256Digest(description: record.identity.disk)
        else { throw damaged(digest.description) }
        var paths: [String] = []
        for part in record.parts {
            guard part.blockCount <= DiskPart.maximumBlocks, part.dataBlocks <= part.blockCount,
                let path = folders.part(part),
                (try? path.status())?.sizeBytes == part.sizeBytes
            else {
                throw ImageError(
                    .damagedStore,
                    "the \(part.kind.rawValue) \(part.digits) of an image in \(root) is missing or cut off; "
                        + "import the image again")
            }
            paths.append(path.description)
        }
        return StoredImage(
            names: index.names.filter { $0.value == digest.description }.keys.sorted(), digest: digest.description,
            diskPaths: paths, parts: record.parts, diskDigest: disk.description,
            importedSeconds: record.importedSeconds, configuration: record.identity.configuration,
            manifest: record.identity.manifest.flatMap { SHA256Digest(description: $0) },
            blobs: (record.blobs ?? []).compactMap { SHA256Digest(description: $0) },
            signatures: (record.signatures ?? []).compactMap(StoredSignatures.init))
    }

    private func imageEvenIfDamaged(_ digest: SHA256Digest, _ index: StoreDocuments.Index) -> StoredImage {
        if let image = try? image(digest, index) { return image }
        return StoredImage(
            names: index.names.filter { $0.value == digest.description }.keys.sorted(), digest: digest.description,
            diskPaths: [], parts: [], diskDigest: "", importedSeconds: 0, configuration: ImageConfiguration())
    }

    private func unknown(_ reference: String, _ index: StoreDocuments.Index) -> ImageError {
        let advice =
            index.names.isEmpty
            ? ", which holds none. Let SWIFTLET_HOME name the folder where yours are, or make one with `swiftlet image import`"
            : "; `swiftlet image list` shows what there is"
        return ImageError(.unknownImage, "no image is called \"\(reference.prefix(255))\" in \(root)\(advice)")
    }

    private func damaged(_ digest: String) -> ImageError {
        ImageError(.damagedStore, "the record of the image \(digest) in \(root) is damaged; import the image again")
    }
}
