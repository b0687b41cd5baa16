import Archives
import FoundationEssentials
public import ImageStore
import OCIImages
public import Registry
public import Signatures

/// Brings an image from a registry into the store.
///
/// Blobs that are there are not fetched again; those that an earlier pull left unfinished are gone on with. Pulls of the same
/// image at the same time fetch each blob once.
public struct ImagePull: Sendable {
    private let store: ImageStore
    private let client: RegistryClient
    private let reference: ImageReference
    private let settings: ImportSettings
    private let policy: SignaturePolicy?

    /// - Parameter policy: who must have signed the image; nil where nobody must.
    public init(
        _ reference: ImageReference, from client: RegistryClient, into store: ImageStore,
        settings: ImportSettings = ImportSettings(), policy: SignaturePolicy? = nil
    ) {
        self.policy = policy
        self.reference = reference
        self.client = client
        self.store = store
        self.settings = settings
    }

    /// - Parameter progress: is called often, from any thread, never twice at once.
    /// - Returns: the image, which has the reference's canonical text as a name.
    public func run(progress: @escaping @Sendable (PullProgress) -> Void = { _ in }) async throws -> StoredImage {
        let lease = try BlobLease(store)
        let top = try await client.manifest(reference)
        let signatures = try await RemoteSignatures(of: reference, at: client)
            .admitted(top.descriptor.digest, by: policy)
        let (image, manifests) = try await image(top, lease)
        let others = try await others(manifests, image, lease)
        let meter = PullMeter(image.layers, others: others.blobs, progress)
        // One conversion keeps two processors busy: one unpacks, one packs.
        let gate = WorkGate(atOnce: ProcessInfo.processInfo.activeProcessorCount / 2)
        try await withThrowingTaskGroup { group in
            for layer in Set(image.layers) {
                group.addTask {
                    let blob = Descriptor(digest: layer.digest, sizeBytes: layer.sizeBytes)
                    try await fetch(blob, lease) { meter.set(layer.digest, $0) }
                    // A layer becomes part of the disk while others still come. An artifact has its disk.
                    guard image.artifactType == nil else { return }
                    try await gate.run { try store.convert(layer, keptBy: lease, settings: settings) }
                }
            }
            for part in others.blobs {
                group.addTask {
                    let blob = Descriptor(digest: part.digest, sizeBytes: part.sizeBytes)
                    try await fetch(blob, lease) { meter.set(part.digest, $0) }
                }
            }
            try await group.waitForAll()
        }
        let kept = manifests + others.documents + others.blobs.map(\.digest)
        let stored = try store.importImage(image, indexes: kept, as: "\(reference)", settings: settings) {
            meter.convert($0)
        }
        return try store.keep(signatures, of: top.descriptor.digest, with: stored)
    }

    /// The image that a manifest or an index leads to, and the indexes on the way.
    private func image(_ top: Manifest, _ lease: BlobLease) async throws -> (OCIImage, [SHA256Digest]) {
        try await keep(top.bytes, top.descriptor.digest, lease)
        var indexes = top.isIndex ? [top.descriptor.digest] : []
        let reader = OCIImageReader(store.blobs)
        while true {
            do throws(OCIError) {
                let image = try reader.image(
                    top.descriptor.digest, sizeBytes: top.descriptor.sizeBytes, mediaType: top.descriptor.mediaType,
                    architecture: settings.architecture)
                return (image, indexes)
            } catch .absent(let blob) {
                switch blob.kind {
                case .manifest:
                    let manifest = try await client.manifest(reference.pinned(to: blob.digest))
                    try await keep(manifest.bytes, blob.digest, lease)
                    if manifest.isIndex { indexes.append(blob.digest) }
                case .blob:
                    try await fetch(Descriptor(digest: blob.digest, sizeBytes: blob.sizeBytes), lease) { _ in }
                }
            } catch {
                throw ImageError(error, source: "\(reference)")
            }
        }
    }

    /// What else an index leads to, if that is wanted: its manifests, which are fetched by this, and their blobs, which are not.
    private func others(
        _ indexes: [SHA256Digest], _ image: OCIImage, _ lease: BlobLease
    ) async throws -> (documents: [SHA256Digest], blobs: [OCIImageParts.Part]) {
        guard settings.keepsAllPlatforms, let top = indexes.first else { return ([], []) }
        let reader = OCIImageReader(store.blobs)
        let sizeBytes = try store.blobs.file(top).status().sizeBytes
        while true {
            let contents: OCIIndexContents
            do { contents = try reader.contents(ofIndex: top, sizeBytes: sizeBytes) } catch {
                throw ImageError(error, source: "\(reference)")
            }
            if contents.missing.isEmpty {
                var known = Set(
                    [image.manifestDigest, image.configurationDigest] + image.layers.map(\.digest) + indexes)
                let documents = contents.below.map(\.part.digest).filter { known.insert($0).inserted }
                return (documents, contents.below.flatMap(\.blobs).filter { known.insert($0.digest).inserted })
            }
            for part in contents.missing {
                let manifest = try await client.manifest(reference.pinned(to: part.digest))
                try await keep(manifest.bytes, part.digest, lease)
            }
        }
    }

    /// Puts a document into the store, which the registry's client has verified.
    private func keep(_ bytes: [UInt8], _ digest: SHA256Digest, _ lease: BlobLease) async throws {
        try lease.keep(digest)
        guard let writer = try await writer(digest, UInt64(bytes.count)) else { return }
        do {
            try writer.restart()
            try writer.append(bytes.span)
        } catch {
            throw ImageError(error, in: .damagedStore)
        }
        try writer.finish()
    }

    private func fetch(
        _ blob: Descriptor, _ lease: BlobLease, progress: @escaping @Sendable (UInt64) -> Void
    ) async throws {
        try lease.keep(blob.digest)
        if let writer = try await writer(blob.digest, blob.sizeBytes) {
            try await client.download(blob, of: reference, to: writer, progress: progress)
            try writer.finish()
        }
        progress(blob.sizeBytes)
    }

    /// Nil when the blob is there; waits while somebody else is at it.
    private func writer(_ digest: SHA256Digest, _ sizeBytes: UInt64) async throws -> BlobWriter? {
        while true {
            switch try store.blobs.write(digest, sizeBytes: sizeBytes) {
            case .isThere: return nil
            case .begun(let writer): return writer
            case .isBusy: try await Task.sleep(for: .milliseconds(50))
            }
        }
    }
}
