public import Archives
import FileTrees

/// Reads images out of blobs. Every blob's length and digest are verified before anything in it is believed.
public struct OCIImageReader: Sendable {
    private let blobs: any OCIBlobs

    public init(_ blobs: any OCIBlobs) { self.blobs = blobs }

    /// The image that a manifest describes, or the one for a processor out of those that an index lists.
    /// - Parameter mediaType: tells an index from a manifest; what a registry or an index said of it.
    public func image(
        _ digest: SHA256Digest, sizeBytes: UInt64, mediaType: String, architecture: String
    ) throws(OCIError) -> OCIImage {
        let descriptor = OCIDocuments.Descriptor(
            mediaType: mediaType, digest: "\(digest)", size: Int64(clamping: sizeBytes), platform: nil,
            annotations: nil)
        return try image(outOf: [descriptor], architecture: architecture)
    }

    func image(outOf candidates: [OCIDocuments.Descriptor], architecture: String) throws(OCIError) -> OCIImage {
        var choice = OCIPlatformChoice(architecture: architecture, reader: self)
        let image = try image(try choice.choose(candidates))
        // An index need not say what its images are for; they do so themselves.
        guard image.architecture.isEmpty || image.architecture == architecture else {
            throw .noSuchImage(
                "there is no image for linux/\(architecture), but one for linux/\(image.architecture)")
        }
        return image
    }

    private func image(_ descriptor: OCIDocuments.Descriptor) throws(OCIError) -> OCIImage {
        let manifest: OCIDocuments.Manifest = try document(descriptor, .manifest, "manifest")
        if let type = manifest.artifactType {
            // Asked for, so that who fetches what is missing fetches this first.
            _ = try bytes(
                try manifest.config.checkedDigest(), sizeBytes: try manifest.config.checkedSize(), .blob, "description")
            return try Self.artifact(try descriptor.checkedDigest(), type, manifest)
        }
        let configuration: OCIDocuments.Configuration = try document(manifest.config, .blob, "configuration")
        return try Self.image(try descriptor.checkedDigest(), manifest, configuration)
    }

    private static func artifact(
        _ digest: SHA256Digest, _ type: String, _ manifest: OCIDocuments.Manifest
    ) throws(OCIError) -> OCIImage {
        var layers: [OCIImage.Layer] = []
        for layer in manifest.layers {
            let digest = try layer.checkedDigest()
            layers.append(OCIImage.Layer(digest: digest, sizeBytes: try layer.checkedSize(), tarDigest: digest))
        }
        return OCIImage(
            artifactType: type, manifestDigest: digest, configurationDigest: try manifest.config.checkedDigest(),
            layers: layers, architecture: "", user: "", environment: [], entrypoint: [], command: [],
            workingDirectory: "", labels: [:], exposedPorts: [], volumes: [], stopSignal: "", healthCheck: nil)
    }

    /// An image out of its documents.
    static func image(
        _ digest: SHA256Digest, _ manifest: OCIDocuments.Manifest, _ configuration: OCIDocuments.Configuration
    ) throws(OCIError) -> OCIImage {
        if let os = configuration.os, os != "linux" { throw .noSuchImage("the image is for \(os), not for Linux") }
        let tarDigests = configuration.rootFileSystem?.layerDigests ?? []
        guard tarDigests.count == manifest.layers.count else {
            throw .invalid(
                "the image's manifest has \(manifest.layers.count) layers, its configuration \(tarDigests.count)")
        }
        var layers: [OCIImage.Layer] = []
        for (layer, tarDigest) in zip(manifest.layers, tarDigests) {
            if layer.mediaType?.hasSuffix("+encrypted") == true { throw .invalid("the image's layers are encrypted") }
            layers.append(
                OCIImage.Layer(
                    digest: try layer.checkedDigest(), sizeBytes: try layer.checkedSize(),
                    tarDigest: try OCIDocuments.digest(tarDigest)))
        }
        let program = configuration.program
        return OCIImage(
            artifactType: nil, manifestDigest: digest, configurationDigest: try manifest.config.checkedDigest(),
            layers: layers,
            architecture: configuration.architecture ?? "", user: program?.user ?? "",
            environment: program?.environment ?? [], entrypoint: program?.entrypoint ?? [],
            command: program?.command ?? [], workingDirectory: program?.workingDirectory ?? "",
            labels: program?.labels ?? [:], exposedPorts: program?.exposedPorts?.keys ?? [],
            volumes: program?.volumes?.keys ?? [], stopSignal: program?.stopSignal ?? "",
            healthCheck: OCIImage.HealthCheck(program?.healthCheck))
    }

    /// The stored bytes of a layer; whoever reads them to the end knows that they are the right ones.
    public func source(_ layer: OCIImage.Layer) throws(OCIError) -> any ByteSource {
        let blob = OCIBlob(layer.digest, sizeBytes: layer.sizeBytes, kind: .blob)
        return DigestingByteSource(
            FileContentSource(try blobs.content(of: blob)), expected: layer.digest, expectedBytes: layer.sizeBytes)
    }

    func document<T: Decodable>(
        _ descriptor: OCIDocuments.Descriptor, _ kind: OCIBlob.Kind, _ what: String
    ) throws(OCIError) -> T {
        try OCIDocuments.decode(
            try bytes(try descriptor.checkedDigest(), sizeBytes: try descriptor.checkedSize(), kind, what), what)
    }

    /// A document's bytes, verified.
    func bytes(
        _ digest: SHA256Digest, sizeBytes: UInt64, _ kind: OCIBlob.Kind, _ what: String
    ) throws(OCIError) -> [UInt8] {
        guard sizeBytes <= OCIDocuments.maximumBytes else {
            throw .invalid("the image's \(what) has \(sizeBytes) bytes, more than \(OCIDocuments.maximumBytes)")
        }
        let content = try blobs.content(of: OCIBlob(digest, sizeBytes: sizeBytes, kind: kind))
        let bytes = try OCIDocuments.read(content, "\(digest)")
        guard UInt64(bytes.count) == sizeBytes else {
            throw .blob("\(digest)", .wrongDigest(expected: "\(sizeBytes) bytes", found: "\(bytes.count) bytes"))
        }
        let found = SHA256.digest(of: bytes)
        guard found == digest else {
            throw .blob("\(digest)", .wrongDigest(expected: "\(digest)", found: "\(found)"))
        }
        return bytes
    }
}
