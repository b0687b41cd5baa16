public import Archives
public import FileTrees
import FoundationEssentials

/// An OCI layout: a folder, or a tar of one, that holds images as blobs named by their digests.
///
/// It is read as a tree of files, wherever that came from. Every blob's length and digest are verified before anything in it
/// is believed.
/// Source: OCI image-spec, image-layout.md.
public struct OCILayout: Sendable {
    private let files: FileTree

    /// How deep an index may lie in an index.
    private static let maximumIndexDepth = 4

    /// Whether a tree of files is a layout.
    public static func isLayout(_ files: FileTree) -> Bool {
        files.lookup("/oci-layout") != nil && files.lookup("/index.json") != nil
    }

    public init(_ files: FileTree) throws(OCIError) {
        self.files = files
        struct Marker: Decodable { let imageLayoutVersion: String }
        let marker: Marker = try Self.decode(try Self.read("/oci-layout", files), "oci-layout")
        guard marker.imageLayoutVersion.hasPrefix("1.") else {
            throw .invalid("the OCI layout has the unknown version \"\(marker.imageLayoutVersion)\"")
        }
    }

    /// The image for a processor, out of those that the layout has.
    ///
    /// `reference` chooses by name where there are several.
    public func image(architecture: String, reference: String? = nil) throws(OCIError) -> OCIImage {
        let index: OCIDocuments.Index = try Self.decode(try Self.read("/index.json", files), "index.json")
        var candidates = index.manifests
        if let reference {
            candidates = candidates.filter { $0.referenceName == reference }
            guard !candidates.isEmpty else {
                throw .noSuchImage("the layout has no image \"\(reference)\"; it has: \(Self.names(index.manifests))")
            }
        }
        var choices = IndexChoices()
        let image = try image(try choose(candidates, architecture, depth: 0, &choices))
        // An index need not say what its images are for; they do so themselves.
        guard image.architecture.isEmpty || image.architecture == architecture else {
            throw .noSuchImage(
                "the layout has no image for linux/\(architecture); it has one for linux/\(image.architecture)")
        }
        return image
    }

    // MARK: - Choosing

    /// What was chosen from the indexes looked into so far, by digest: each is read once, however often it is listed.
    private struct IndexChoices {
        var chosen: [String: OCIDocuments.Descriptor] = [:]
        var withoutChoice: Set<String> = []
    }

    private func choose(
        _ candidates: [OCIDocuments.Descriptor], _ architecture: String, depth: Int, _ choices: inout IndexChoices
    ) throws(OCIError) -> OCIDocuments.Descriptor {
        guard depth < Self.maximumIndexDepth else { throw .invalid("the layout's indexes lie too deep in one another") }
        var chosen: [OCIDocuments.Descriptor] = []
        for candidate in candidates {
            if candidate.isIndex {
                if let found = try chooseIfAny(candidate, architecture, depth: depth + 1, &choices) {
                    chosen.append(found)
                }
            } else if let platform = candidate.platform {
                if platform.architecture == architecture && platform.os ?? "linux" == "linux" {
                    chosen.append(candidate)
                }
            } else if candidate.annotations?["vnd.docker.reference.type"] == nil {
                chosen.append(candidate)
            }
        }
        let different = Set(chosen.map(\.digest))
        guard let first = chosen.first else {
            let platforms = Set(candidates.compactMap { $0.platform?.text }).sorted().joined(separator: ", ")
            throw .noSuchImage(
                "the layout has no image for linux/\(architecture)"
                    + (platforms.isEmpty ? "" : "; it has: \(platforms)"))
        }
        guard different.count == 1 || depth > 0 else {
            throw .noSuchImage("the layout has several images; choose one of: \(Self.names(chosen))")
        }
        return first
    }

    /// An index for other processors only is no fault as long as another candidate fits.
    private func chooseIfAny(
        _ candidate: OCIDocuments.Descriptor, _ architecture: String, depth: Int, _ choices: inout IndexChoices
    ) throws(OCIError) -> OCIDocuments.Descriptor? {
        if let found = choices.chosen[candidate.digest] { return found }
        if choices.withoutChoice.contains(candidate.digest) { return nil }
        let index: OCIDocuments.Index = try document(candidate, "index")
        do {
            let found = try choose(index.manifests, architecture, depth: depth, &choices)
            choices.chosen[candidate.digest] = found
            return found
        } catch .noSuchImage {
            choices.withoutChoice.insert(candidate.digest)
            return nil
        } catch {
            throw error
        }
    }

    private static func names(_ descriptors: [OCIDocuments.Descriptor]) -> String {
        descriptors.prefix(20).map { $0.referenceName ?? $0.digest }.joined(separator: ", ")
    }

    private func image(_ descriptor: OCIDocuments.Descriptor) throws(OCIError) -> OCIImage {
        let manifest: OCIDocuments.Manifest = try document(descriptor, "manifest")
        let configuration: OCIDocuments.Configuration = try document(manifest.config, "configuration")
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
                    digest: try Self.digest(layer.digest), sizeBytes: try Self.size(layer),
                    tarDigest: try Self.digest(tarDigest)))
        }
        let program = configuration.program
        return OCIImage(
            manifestDigest: try Self.digest(descriptor.digest), layers: layers,
            architecture: configuration.architecture ?? "", user: program?.user ?? "",
            environment: program?.environment ?? [], entrypoint: program?.entrypoint ?? [],
            command: program?.command ?? [], workingDirectory: program?.workingDirectory ?? "",
            labels: program?.labels ?? [:], exposedPorts: program?.exposedPorts?.keys ?? [],
            volumes: program?.volumes?.keys ?? [], stopSignal: program?.stopSignal ?? "")
    }

    // MARK: - Blobs

    /// The stored bytes of a layer; whoever reads them to the end knows that they are the right ones.
    public func source(_ layer: OCIImage.Layer) throws(OCIError) -> any ByteSource {
        let content = try Self.content("/blobs/sha256/" + layer.digest.hex, files)
        return DigestingByteSource(
            FileContentSource(content), expected: layer.digest, expectedBytes: layer.sizeBytes)
    }

    private func document<T: Decodable>(_ descriptor: OCIDocuments.Descriptor, _ what: String) throws(OCIError) -> T {
        let digest = try Self.digest(descriptor.digest)
        guard try Self.size(descriptor) <= OCIDocuments.maximumBytes else {
            throw .invalid("the image's \(what) has \(descriptor.size) bytes, more than \(OCIDocuments.maximumBytes)")
        }
        let bytes = try Self.read("/blobs/sha256/" + digest.hex, files)
        guard UInt64(bytes.count) == (try Self.size(descriptor)) else {
            throw .blob(
                descriptor.digest,
                .wrongDigest(expected: "\(descriptor.size) bytes", found: "\(bytes.count) bytes"))
        }
        let found = SHA256.digest(of: bytes)
        guard found == digest else {
            throw .blob(descriptor.digest, .wrongDigest(expected: "\(digest)", found: "\(found)"))
        }
        return try Self.decode(bytes, what)
    }

    private static func digest(_ text: String) throws(OCIError) -> SHA256Digest {
        guard let digest = SHA256Digest(description: text) else {
            throw .invalid("\"\(text.prefix(100))\" is no SHA-256 digest; no other kind is known here")
        }
        return digest
    }

    private static func size(_ descriptor: OCIDocuments.Descriptor) throws(OCIError) -> UInt64 {
        guard let size = UInt64(exactly: descriptor.size) else {
            throw .invalid("a blob of \(descriptor.size) bytes cannot be")
        }
        return size
    }

    private static func decode<T: Decodable>(_ bytes: [UInt8], _ what: String) throws(OCIError) -> T {
        do {
            return try JSONDecoder().decode(T.self, from: Data(bytes))
        } catch {
            throw .invalid("the layout's \(what) is not what the OCI image specification says: \(explain(error))")
        }
    }

    /// Which field of a document is wrong, in few words.
    private static func explain(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "it is not JSON" }
        func path(_ context: DecodingError.Context, _ last: (any CodingKey)? = nil) -> String {
            (context.codingPath + (last.map { [$0] } ?? [])).map(\.stringValue).joined(separator: ".")
        }
        switch error {
        case .keyNotFound(let key, let context): return "\(path(context, key)) is missing"
        case .valueNotFound(_, let context): return "\(path(context)) is missing"
        case .typeMismatch(_, let context): return "\(path(context)) has another type"
        case .dataCorrupted(let context):
            return context.codingPath.isEmpty ? "it is not JSON" : "\(path(context)) has an impossible value"
        @unknown default: return "it cannot be read"
        }
    }

    private static func content(_ path: String, _ files: FileTree) throws(OCIError) -> FileContent {
        guard let node = files.lookup(path), case .file(let content) = files[node].kind else {
            throw .invalid("the layout has no file \(path.dropFirst())")
        }
        return content
    }

    private static func read(_ path: String, _ files: FileTree) throws(OCIError) -> [UInt8] {
        let content = try content(path, files)
        guard content.sizeBytes <= OCIDocuments.maximumBytes else {
            throw .invalid("the layout's \(path.dropFirst()) has more than \(OCIDocuments.maximumBytes) bytes")
        }
        do {
            return try ByteReader(FileContentSource(content)).readExactly(Int(content.sizeBytes))
        } catch {
            throw .blob(path, error)
        }
    }
}
