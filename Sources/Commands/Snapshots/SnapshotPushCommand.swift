import Archives
import ArgumentParser
import Fleet
import HostFiles
import ImageTransfer
import OCIImages
import Registry
import Signatures
import Synchronization

struct SnapshotPushCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "push", abstract: "Bring a snapshot into a registry.",
        discussion: """
            It goes as an OCI artifact, with a layer for each file; what the registry has is not sent again. The image is not in it. Whoever may
            pull it can read what the machine's programs knew, passwords included. Credentials are those of `swiftlet login`.

            Examples:
              swiftlet snapshot push web-1 localhost:5000/team/web:warm
              swiftlet snapshot push --sign acme.key web-1 reg.example/team/web:warm
            """)

    @Option(
        help: ArgumentHelp("Sign it, too, with this private key, as `appliance sign` does.", valueName: "file"),
        completion: .file())
    var sign: String?
    @Argument(help: "A snapshot's name or id.", completion: Completions.snapshots) var snapshot: String
    @Argument(help: "Where to, as registries name images.") var destination: String
    @OptionGroup var registry: RegistryOptions
    @OptionGroup var format: FormatOptions

    func run() throws {
        let record = try SnapshotCommand.store.find(snapshot)
        let reference = try ImageReference(destination)
        let client = try registry.client()
        // Before anything is sent.
        let key = try sign.map { try SigningKey(pem: try Policies.text($0)) }
        let packed = try SnapshotCommand.pack(record)
        let bar = SharedProgressBar()
        defer { bar.finish() }
        let parts = PartsOnTheirWay(packed.blobs.map(\.part)) { bar.show("pushing \(reference)", parts: $0) }
        let results = try waitFor {
            let results = try await withThrowingTaskGroup { group in
                for blob in packed.blobs {
                    group.addTask {
                        let part = blob.part
                        let how = try await client.upload(
                            part.descriptor, to: reference, from: PackedBlobSource(blob: blob)
                        ) { parts.set(part.digest, $0) }
                        return (part.digest, how)
                    }
                }
                return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            let digest = try await client.push(
                manifest: packed.manifest, mediaType: OCIMediaType.manifest, to: reference)
            if let key {
                let signature = try ImageSignature(of: digest, in: reference.name, by: key)
                try await RemoteSignatures(of: reference, at: client).add(signature, by: key.verifyingKey, to: digest)
            }
            return results
        }
        bar.finish()
        let blobs = packed.blobs.map { (part: $0.part, how: results[$0.part.digest] ?? .wasThere) }
        if format.isJSON { return Output.json(PushDocument(reference, packed.digest, blobs)) }
        let sent = blobs.filter { $0.how == .uploaded }
        Output.line("\(reference): \(packed.digest)")
        Output.error(
            "swiftlet: \(Units.size(sent.reduce(0) { $0 + $1.part.sizeBytes })) in \(sent.count) blobs sent, \(blobs.count - sent.count) there before"
        )
    }
}

struct SnapshotPullCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pull", abstract: "Fetch a snapshot from a registry.",
        discussion: """
            As `snapshot import`, from where `snapshot push` has brought it. Where there is a policy, the snapshot must be signed as it says
            for that name, and that is asked before anything is fetched.

            Examples:
              swiftlet snapshot pull localhost:5000/team/web:warm
              swiftlet snapshot pull reg.example/team/web:warm web --network tap
            """)

    @OptionGroup var taking: SnapshotTakingOptions
    @Argument(help: "Its name, as registries know it.") var source: String
    @Argument(help: "What the snapshot is to be called; as it was if not given.") var name: String?
    @OptionGroup var registry: RegistryOptions
    @OptionGroup var format: FormatOptions

    func run() throws {
        let reference = try ImageReference(source)
        let interfaces = try taking.interfaces()
        let client = try registry.client()
        let policy = try Policies.standing()
        SnapshotCommand.store.removeLeftovers()
        let incoming = try waitFor { try await Self.fetchDescription(reference, client, policy) }
        let image = try incoming.image(in: ImageCommand.store)
        // Otherwise who vouches for the snapshot vouches for what runs.
        if policy?.wantsSignatures(of: reference.name) != true {
            try Policies.admitSnapshot(ofMachineOf: image)
        }
        let take = try SnapshotImport(incoming, as: name, interfaces: interfaces, image: image, into: Product.fleet)
        let bar = SharedProgressBar()
        defer { bar.finish() }
        let parts = PartsOnTheirWay(take.layers) { bar.show("pulling \(reference)", parts: $0) }
        let (layers, folder) = (take.layers, take.folder)
        try waitFor {
            try await withThrowingTaskGroup { group in
                for layer in layers {
                    group.addTask {
                        try await client.download(
                            layer.descriptor, of: reference, to: try BlobFile(Self.blob(layer, folder))
                        ) { parts.set(layer.digest, $0) }
                    }
                }
                try await group.waitForAll()
            }
        }
        let record = try take.run(
            isChecked: taking.integrity,
            opening: { layer in
                let path = Self.blob(layer, folder)
                let file = try HostFile(path)
                // What is being read needs no name.
                try path.removeFile()
                return FileByteSource(file, range: 0..<layer.sizeBytes)
            },
            report: {
                bar.finish()
                if !format.isJSON { Output.error("swiftlet: \($0)") }
            })
        bar.finish()
        if format.isJSON { return Output.json(SnapshotDocument(record)) }
        Output.line(record.name)
    }

    /// Every layer once, also where an artifact names one twice.
    private static func blob(_ layer: OCIArtifact.Part, _ folder: HostPath) -> HostPath {
        folder.appending("blob-\(layer.title ?? "")")
    }

    private static func fetchDescription(
        _ reference: ImageReference, _ client: RegistryClient, _ policy: SignaturePolicy?
    ) async throws -> IncomingSnapshot {
        let manifest = try await client.manifest(reference)
        let artifact: OCIArtifact
        do throws(OCIError) { artifact = try OCIArtifact(parsing: manifest.bytes) } catch {
            throw SnapshotError(.invalidFile, "\(reference) is no snapshot: \(error)")
        }
        try IncomingSnapshot.check(artifact)
        if let policy {
            _ = try await RemoteSignatures(of: reference, at: client).judge(manifest.descriptor.digest, by: policy)
        }
        let description = BlobMemory()
        try await client.download(artifact.configuration.descriptor, of: reference, to: description)
        return try IncomingSnapshot(artifact, description: description.bytes)
    }
}

/// How far each of several blobs has come.
private final class PartsOnTheirWay: Sendable {
    private let parts: [OCIArtifact.Part]
    private let done = Mutex<[SHA256Digest: UInt64]>([:])
    private let show: @Sendable ([TransferredPart]) -> Void

    init(_ parts: [OCIArtifact.Part], show: @escaping @Sendable ([TransferredPart]) -> Void) {
        self.parts = parts
        self.show = show
    }

    func set(_ digest: SHA256Digest, _ doneBytes: UInt64) {
        done.withLock { done in
            done[digest] = doneBytes
            show(
                parts.map {
                    TransferredPart(digest: "\($0.digest)", doneBytes: done[$0.digest] ?? 0, sizeBytes: $0.sizeBytes)
                })
        }
    }
}

private struct PackedBlobSource: BlobSource {
    let blob: PackedSnapshot.Blob

    func read(_ count: Int, at offset: UInt64, into buffer: inout [UInt8]) throws(HostFileError) -> Int {
        try blob.read(count, at: offset, into: &buffer)
    }
}

extension OCIArtifact.Part {
    fileprivate var descriptor: Descriptor { Descriptor(mediaType: mediaType, digest: digest, sizeBytes: sizeBytes) }
}
