import Archives
import ArgumentParser
import ImageStore
import ImageTransfer
import OCIImages
import Registry
import Signatures

struct PushCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "push", abstract: "Bring an image into a registry.",
        discussion: """
            It goes as it came, with the same digests. What the registry has is not sent again. Of an image for several
            platforms this one is pushed, or all of them where all are here (`swiftlet pull --all-platforms`). Credentials are those of `swiftlet login` and of the container engines.

            Examples:
              swiftlet push localhost:5000/team/box:1
              swiftlet push busybox ghcr.io/owner/box:1.2
            """)
    @Argument(help: "Its name or digest.", completion: Completions.images) var image: String
    @Argument(help: "Where to, as registries name images; where it is left out, the image's name says it.")
    var destination: String?
    @Option(
        help: ArgumentHelp("Sign it, too, with this private key, as `appliance sign` does.", valueName: "file"),
        completion: .file())
    var sign: String?
    @OptionGroup var registry: RegistryOptions
    @OptionGroup var format: FormatOptions

    func run() throws {
        let name = ImageCommand.storedName(image)
        let stored = try ImageCommand.store.resolve(name)
        let reference = try reference(name)
        let client = try registry.client()
        // Before anything is sent.
        let key = try sign.map { try SigningKey(pem: try Policies.text($0)) }
        let push = ImagePush(stored, to: reference, by: client, from: ImageCommand.store)
        let bar = SharedProgressBar()
        defer { bar.finish() }
        let result = try waitFor {
            try await push.run { progress in
                bar.show(
                    "pushing \(reference)",
                    parts: progress.parts.map {
                        TransferredPart(digest: "\($0.digest)", doneBytes: $0.doneBytes, sizeBytes: $0.sizeBytes)
                    })
            }
        }
        bar.finish()
        if let key {
            let digest = result.top.digest
            let signature = try ImageSignature(of: digest, in: reference.name, by: key)
            try waitFor {
                try await RemoteSignatures(of: reference, at: client).add(signature, by: key.verifyingKey, to: digest)
            }
        }
        if format.isJSON { return Output.json(PushDocument(reference, result)) }
        let sent = result.blobs.filter { $0.how == .uploaded }
        let mounted = result.blobs.count { $0.how == .mounted }
        let there = result.blobs.count { $0.how == .wasThere }
        var notes = ["\(Units.size(sent.reduce(0) { $0 + $1.part.sizeBytes })) in \(sent.count) blobs sent"]
        if mounted > 0 { notes.append("\(mounted) taken over from other repositories") }
        if there > 0 { notes.append("\(there) there before") }
        Output.line("\(reference): \(result.top.digest)")
        Output.error("swiftlet: \(notes.joined(separator: ", "))")
        if result.missingManifests > 0 {
            Output.error(
                "swiftlet: the image came from an index with \(result.missingManifests) more manifests, for other platforms "
                    + "and the like, which are not here; only this one was pushed. With all: swiftlet pull --all-platforms"
            )
        }
    }

    private func reference(_ name: String) throws -> ImageReference {
        if let destination { return try ImageReference(destination) }
        guard ImageReference.namesRegistry(name) else {
            throw CommandFailure(
                "usage.push",
                "\"\(image)\" does not say which registry is meant; name where it is to go: swiftlet push \(image) "
                    + "REGISTRY/REPOSITORY:TAG")
        }
        return try ImageReference(name)
    }
}

/// What was pushed, for programs: names that stay.
struct PushDocument: Encodable {
    struct Blob: Encodable {
        var digest: String
        var mediaType: String
        var sizeBytes: UInt64
        /// `was-there`, `mounted` or `uploaded`.
        var result: String

        init(
            _ mediaType: String, _ digest: SHA256Digest, _ sizeBytes: UInt64, _ how: RegistryClient.UploadResult
        ) {
            (self.mediaType, self.digest, self.sizeBytes) = (mediaType, digest.description, sizeBytes)
            result =
                switch how {
                case .wasThere: "was-there"
                case .mounted: "mounted"
                case .uploaded: "uploaded"
                }
        }
    }

    var name: String
    var digest: String
    var mediaType: String
    var blobs: [Blob]
    /// How many manifests of the image's index are not here.
    var missingManifests: Int

    init(_ reference: ImageReference, _ result: ImagePush.Result) {
        name = "\(reference)"
        digest = result.top.digest.description
        mediaType = result.top.mediaType
        missingManifests = result.missingManifests
        blobs = result.blobs.map { Blob($0.mediaType, $0.digest, $0.sizeBytes, $1) }
    }

    /// An artifact, which is whole.
    init(
        _ reference: ImageReference, _ digest: SHA256Digest,
        _ blobs: [(part: OCIArtifact.Part, how: RegistryClient.UploadResult)]
    ) {
        name = "\(reference)"
        self.digest = digest.description
        mediaType = OCIMediaType.manifest
        missingManifests = 0
        self.blobs = blobs.map { Blob($0.mediaType, $0.digest, $0.sizeBytes, $1) }
    }
}
