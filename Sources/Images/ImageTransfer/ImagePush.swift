public import Archives
import HostFiles
public import ImageStore
public import OCIImages
public import Registry
import Synchronization

/// Brings an image from the store into a registry, as it came: the digests there are those of here.
///
/// Blobs that the repository has are not sent; those that another repository of the same registry has, as far as names here
/// tell, are taken over from there.
public struct ImagePush: Sendable {
    private let image: StoredImage
    private let reference: ImageReference
    private let client: RegistryClient
    private let store: ImageStore

    public init(_ image: StoredImage, to reference: ImageReference, by client: RegistryClient, from store: ImageStore) {
        self.image = image
        self.reference = reference
        self.client = client
        self.store = store
    }

    /// What became of it.
    public struct Result: Equatable, Sendable {
        /// Of the manifest or index that has the reference now.
        public let top: OCIImageParts.Part
        public let blobs: [(part: OCIImageParts.Part, how: RegistryClient.UploadResult)]
        /// How many of the manifests in the image's index are not here; the index was not pushed then.
        public let missingManifests: Int

        public static func == (one: Result, other: Result) -> Bool {
            one.top == other.top && one.missingManifests == other.missingManifests
                && one.blobs.elementsEqual(other.blobs) { $0.part == $1.part && $0.how == $1.how }
        }
    }

    /// - Parameter progress: is called often, from any thread, never twice at once.
    /// - Throws: `ImageError` `.withoutLayers` before anything is sent; with some blobs there and the tag as it was when
    ///   something goes wrong later.
    public func run(progress: @escaping @Sendable (PushProgress) -> Void = { _ in }) async throws -> Result {
        let lease = try BlobLease(store)
        for blob in image.blobs { try lease.keep(blob) }
        let top = try store.top(of: image)
        let meter = PushMeter(top.blobs, progress)
        let origins = try origins(of: top.blobs)
        let results = try await withThrowingTaskGroup { group in
            for part in top.blobs {
                group.addTask {
                    let blob = Descriptor(mediaType: part.mediaType, digest: part.digest, sizeBytes: part.sizeBytes)
                    let how = try await client.upload(
                        blob, to: reference, from: BlobFileSource(store.blobs.file(part.digest)),
                        mountingFrom: origins[part.digest]
                    ) { meter.set(part.digest, $0) }
                    meter.finish(part.digest, how)
                    return (part.digest, how)
                }
            }
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        for document in top.below {
            try await client.push(
                manifest: document.bytes, mediaType: document.part.mediaType,
                to: try reference.inSameRepository(document.part.digest))
        }
        try await client.push(
            manifest: top.document.bytes, mediaType: top.document.part.mediaType, to: reference)
        return Result(
            top: top.document.part, blobs: top.blobs.map { ($0, results[$0.digest] ?? .wasThere) },
            missingManifests: top.missingManifests)
    }

    /// For each blob another repository of this registry that has had it, by the names of the images here.
    private func origins(of parts: [OCIImageParts.Part]) throws -> [SHA256Digest: String] {
        var origins: [SHA256Digest: String] = [:]
        for image in try store.list() {
            let repositories = image.names.compactMap { name -> String? in
                guard ImageReference.namesRegistry(name), let other = try? ImageReference(name),
                    other.registry == reference.registry, other.repository != reference.repository
                else { return nil }
                return other.repository
            }
            guard let repository = repositories.first else { continue }
            let blobs = Set(image.blobs)
            for part in parts where blobs.contains(part.digest) && origins[part.digest] == nil {
                origins[part.digest] = repository
            }
        }
        return origins
    }
}

/// How far a push has come.
public struct PushProgress: Equatable, Sendable {
    public struct Part: Equatable, Sendable {
        public let digest: SHA256Digest
        public let sizeBytes: UInt64
        /// Goes back when a part has to be sent again.
        public internal(set) var doneBytes: UInt64 = 0
        public internal(set) var result: RegistryClient.UploadResult?
    }

    /// Configuration and layers, each once.
    public internal(set) var parts: [Part]

    public var doneBytes: UInt64 { parts.reduce(0) { $0 + $1.doneBytes } }
    public var sizeBytes: UInt64 { parts.reduce(0) { $0 + $1.sizeBytes } }
}

/// Gathers what concurrent uploads tell.
private final class PushMeter: Sendable {
    private let state: Mutex<PushProgress>
    private let report: @Sendable (PushProgress) -> Void

    init(_ parts: [OCIImageParts.Part], _ report: @escaping @Sendable (PushProgress) -> Void) {
        state = Mutex(
            PushProgress(parts: parts.map { PushProgress.Part(digest: $0.digest, sizeBytes: $0.sizeBytes) }))
        self.report = report
    }

    func set(_ digest: SHA256Digest, _ doneBytes: UInt64) { change(digest) { $0.doneBytes = doneBytes } }

    func finish(_ digest: SHA256Digest, _ result: RegistryClient.UploadResult) {
        change(digest) {
            $0.doneBytes = $0.sizeBytes
            $0.result = result
        }
    }

    private func change(_ digest: SHA256Digest, _ change: (inout PushProgress.Part) -> Void) {
        state.withLock { progress in
            guard let index = progress.parts.firstIndex(where: { $0.digest == digest }) else { return }
            change(&progress.parts[index])
            report(progress)
        }
    }
}

extension ImageReference {
    /// What lies beside this in its repository, by digest alone.
    func inSameRepository(_ digest: SHA256Digest) throws -> ImageReference {
        try ImageReference("\(name)@\(digest)")
    }
}
