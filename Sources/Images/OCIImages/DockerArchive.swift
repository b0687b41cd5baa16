import Archives
public import FileTrees
import FoundationEssentials

/// What `docker save` writes: a tar, or a folder of its files, that holds images as configurations and layers.
///
/// Such an image has no manifest; it gets one here, which depends on its configuration and layers alone.
/// Source: Docker image specification v1.2, "Combined Image JSON + Filesystem Changeset Format".
public struct DockerArchive: Sendable {
    private struct Entry: Decodable {
        let configuration: String
        let names: [String]?
        let layers: [String]

        enum CodingKeys: String, CodingKey {
            case configuration = "Config"
            case names = "RepoTags"
            case layers = "Layers"
        }
    }

    private let files: FileTree
    private let entries: [Entry]

    /// The most images that an archive may hold.
    private static let maximumEntries = 10_000
    private static let maximumLinks = 8

    /// Whether a tree of files is such an archive.
    public static func isArchive(_ files: FileTree) -> Bool {
        guard let node = files.lookup("/manifest.json"), case .file(let content) = files[node].kind,
            content.sizeBytes <= OCIDocuments.maximumBytes, let bytes = try? OCIDocuments.read(content, "manifest.json")
        else { return false }
        // A file of that name may be anybody's.
        return (try? JSONDecoder().decode([Entry].self, from: Data(bytes)))?.isEmpty == false
    }

    public init(_ files: FileTree) throws(OCIError) {
        self.files = files
        entries = try OCIDocuments.decode(
            try OCIDocuments.read(try Self.content("manifest.json", files), "manifest.json"), "manifest.json")
        guard (1...Self.maximumEntries).contains(entries.count) else {
            throw .invalid("the archive holds \(entries.count) images")
        }
    }

    func images(architecture: String) throws(OCIError) -> [ArchivedImage] {
        var images: [ArchivedImage] = []
        for entry in entries { images.append(try image(entry, architecture)) }
        return images
    }

    func image(architecture: String, reference: String?) throws(OCIError) -> ArchivedImage {
        let fitting = reference.map { name in entries.filter { $0.names?.contains(name) == true } } ?? entries
        let names = entries.flatMap { $0.names ?? [] }.prefix(20).joined(separator: ", ")
        guard let entry = fitting.first else {
            throw .noSuchImage("the archive has no image \"\(reference ?? "")\"; it has: \(names)")
        }
        guard fitting.count == 1 else { throw .noSuchImage("there are several images; choose one of: \(names)") }
        return try image(entry, architecture)
    }

    private func image(_ entry: Entry, _ architecture: String) throws(OCIError) -> ArchivedImage {
        let configurationBytes = try OCIDocuments.read(
            try Self.content(entry.configuration, files), entry.configuration)
        let configuration: OCIDocuments.Configuration = try OCIDocuments.decode(configurationBytes, "configuration")
        let tarDigests = configuration.rootFileSystem?.layerDigests ?? []
        guard tarDigests.count == entry.layers.count else {
            throw .invalid(
                "the archive has \(entry.layers.count) layers, the image's configuration \(tarDigests.count)")
        }
        if let found = configuration.architecture, !found.isEmpty, found != architecture {
            throw .noSuchImage("there is no image for linux/\(architecture), but one for linux/\(found)")
        }
        var layers: [ArchivedImage.Layer] = []
        for (path, tarDigest) in zip(entry.layers, tarDigests) {
            let content = try Self.content(path, files)
            let (digest, mediaType) = try Self.layer(content, path, tarDigest: tarDigest)
            layers.append(ArchivedImage.Layer(mediaType: mediaType, digest: digest, content: content))
        }
        return try ArchivedImage(
            names: (entry.names ?? []).map { ArchivedImage.Name(text: $0, isReference: true) },
            configuration: configurationBytes, layers: layers)
    }

    /// What a layer's file is, as stored: by convention a plain tar, whose digest the configuration has; some tools
    /// compress it.
    private static func layer(
        _ content: FileContent, _ path: String, tarDigest: String
    ) throws(OCIError) -> (SHA256Digest, String) {
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        let source = FileContentSource(content)
        do throws(ArchiveError) {
            var count = try source.read(into: &buffer)
            let format = try ArchiveFormat.recognize(Array(buffer[..<min(count, ArchiveFormat.headBytes)]))
            if format == .tar, let digest = SHA256Digest(description: tarDigest) {
                // Whoever copies it compares.
                return (digest, OCIMediaType.layer)
            }
            var hash = SHA256()
            while count > 0 {
                hash.update(buffer, first: count)
                count = try source.read(into: &buffer)
            }
            let ending =
                switch format {
                case .tar: ""
                case .gzip: "+gzip"
                case .zstd: "+zstd"
                }
            return (hash.finalize(), OCIMediaType.layer + ending)
        } catch {
            throw .blob(path, error)
        }
    }

    /// A file of the archive; links are followed inside it.
    private static func content(_ path: String, _ files: FileTree) throws(OCIError) -> FileContent {
        var parts = path.split(separator: "/").map(String.init)
        for _ in 0...maximumLinks {
            guard let node = files.lookup("/" + parts.joined(separator: "/")) else { break }
            switch files[node].kind {
            case .file(let content): return content
            case .symbolicLink(let target):
                parts.removeLast()
                for part in String(decoding: target, as: UTF8.self).split(separator: "/") where part != "." {
                    if part == ".." { _ = parts.popLast() } else { parts.append(String(part)) }
                }
            default: throw .invalid("\"\(path.prefix(200))\" in the archive is no file")
            }
        }
        throw .invalid("the archive has no file \"\(path.prefix(200))\"")
    }
}
