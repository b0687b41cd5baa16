import Archives
import FileTrees
import FoundationEssentials
public import HostFiles
public import ImageStore
import LinuxCalls
import OCIImages
import Registry
public import Signatures

/// Writes images out of the store into one file or folder that other tools read.
public struct ImageSave {
    public enum Format: String, CaseIterable, Sendable {
        /// A tar of an OCI layout, which says in `manifest.json` what `docker load` wants to know, too.
        case ociArchive = "oci-archive"
        /// An OCI layout as a folder.
        case ociFolder = "oci-dir"
        /// What `docker save` has always written: configurations, and layers as plain tars.
        case dockerArchive = "docker-archive"
    }

    /// Where it goes.
    public enum Target {
        /// A file that takes the place of another in one step, or a device or pipe; a folder for `.ociFolder`.
        case path(HostPath)
        case standardOutput
    }

    private struct Item {
        var names: [String]
        let parts: OCIImageParts
        let top: ImageTop
        var signatures: [[ImageSignature]] = []
    }

    private let store: ImageStore
    private let lease: BlobLease
    private var items: [Item] = []

    public init(from store: ImageStore) throws(ImageError) {
        self.store = store
        lease = try BlobLease(store)
    }

    /// Adds an image.
    /// - Parameters:
    ///   - name: what it is called in the archive; nil for nothing.
    ///   - signatures: those that are to lie beside it, in an OCI layout, as cosign keeps them there: one list for each thing signed.
    /// - Throws: `.withoutLayers`.
    public mutating func add(
        _ image: StoredImage, as name: String?, signatures: [[ImageSignature]] = []
    ) throws(ImageError) {
        for blob in image.blobs { try lease.keep(blob) }
        let parts = try store.parts(of: image)
        if let index = items.firstIndex(where: { $0.parts.manifest == parts.manifest }) {
            if let name, !items[index].names.contains(name) { items[index].names.append(name) }
            return
        }
        items.append(
            Item(
                names: name.map { [$0] } ?? [], parts: parts, top: try store.top(of: image), signatures: signatures))
    }

    /// Writes them all.
    /// - Parameter progress: how many bytes of the images' blobs are done, of how many.
    /// - Throws: with nothing of it left, but for what a pipe has got.
    public func write(
        _ format: Format, to target: Target,
        progress: @escaping (_ doneBytes: UInt64, _ sizeBytes: UInt64) -> Void = { _, _ in }
    ) throws(ImageError) {
        let meter = SaveMeter(progress)
        do {
            switch (format, target) {
            case (.ociFolder, .standardOutput):
                throw ImageError(.unwritableTarget, "a folder cannot go to standard output; name one by --output")
            case (.ociFolder, .path(let path)): try writeFolder(path, meter)
            case (_, .standardOutput):
                try writeArchive(format, to: FileByteSink(try HostFile.standardOutput()), meter)
            case (_, .path(let path)): try writeFile(path, format, meter)
            }
        } catch let error as ImageError {
            throw error
        } catch let error as HostFileError {
            throw ImageError(saving: error)
        } catch ArchiveError.host(let error) {
            throw ImageError(saving: error)
        } catch {
            throw ImageError(
                .damagedStore, "a blob of an image is not what its digest says (\(error)); pull or load the image again"
            )
        }
    }

    private func writeFile(_ path: HostPath, _ format: Format, _ meter: SaveMeter) throws {
        if let status = try? path.status(), !status.isRegularFile {
            guard !status.isFolder else {
                throw ImageError(
                    .unwritableTarget,
                    "\(path) is a folder; name a file, or write a folder by --format \(Format.ociFolder.rawValue)")
            }
            try writeArchive(format, to: FileByteSink(try HostFile(path, [.writeOnly])), meter)
            return
        }
        let temporary = HostPath("\(path).new-\(processID())")
        do {
            let sink = FileByteSink(try HostFile(temporary, [.writeOnly, .create, .truncate], mode: 0o644))
            try writeArchive(format, to: sink, meter)
            try sink.file.synchronize()
            try temporary.rename(to: path)
        } catch {
            try? temporary.removeFile()
            throw error
        }
    }

    private func writeArchive(_ format: Format, to sink: FileByteSink, _ meter: SaveMeter) throws {
        var writer = TarWriter(sink)
        if format == .dockerArchive {
            guard !items.contains(where: { $0.parts.artifactType != nil }) else {
                throw ImageError(
                    .withoutLayers,
                    "a docker archive holds images of containers, and no appliances; save it as \(Format.ociArchive.rawValue)"
                )
            }
            try writeDocker(&writer, meter)
        } else {
            try writeLayout(meter) { part throws in
                switch part {
                case .folder(let name): try writer.addFolder(name)
                case .document(let name, let bytes): try writer.add(name, bytes)
                case .blob(let name, let sizeBytes, let source):
                    try writer.add(name, sizeBytes: sizeBytes, source)
                }
            }
            // For those who know docker archives only.
            try writer.add(
                "manifest.json",
                try Self.json(
                    items.filter { $0.parts.artifactType == nil }.map {
                        try entry($0, blob: Self.path) { Self.path($0.part.digest) }
                    }))
        }
        try writer.finish()
    }

    // MARK: - OCI layout
    // Source: OCI image-spec, image-layout.md.

    private enum LayoutPart {
        case folder(String)
        case document(String, [UInt8])
        case blob(String, sizeBytes: UInt64, any ByteSource)
    }

    private struct Descriptor: Encodable {
        struct Platform: Encodable {
            let architecture: String
            let os: String
            let variant: String?
        }
        let mediaType: String
        let digest: String
        let size: UInt64
        var platform: Platform?
        var annotations: [String: String]?
    }

    private struct Index: Encodable {
        let schemaVersion = 2
        let mediaType = OCIMediaType.index
        let manifests: [Descriptor]
    }

    private static func path(_ digest: SHA256Digest) -> String { "blobs/sha256/\(digest.hex)" }

    private func writeLayout(
        _ meter: SaveMeter, _ write: (LayoutPart) throws -> Void
    ) throws {
        var known: Set<SHA256Digest> = []
        let blobs = items.flatMap(\.top.blobs).filter { known.insert($0.digest).inserted }
        let documents = items.flatMap { $0.top.below + [$0.top.document] }
            .filter { known.insert($0.part.digest).inserted }
        meter.sizeBytes = blobs.reduce(0) { $0 + $1.sizeBytes }
        try write(.document("oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8)))
        try write(.folder("blobs"))
        try write(.folder("blobs/sha256"))
        for blob in blobs {
            try write(
                .blob(
                    Self.path(blob.digest), sizeBytes: blob.sizeBytes, CountingByteSource(try source(blob), meter.add)))
        }
        for document in documents { try write(.document(Self.path(document.part.digest), document.bytes)) }
        var manifests: [Descriptor] = []
        for item in items {
            for name in item.names.isEmpty ? [nil] : item.names.map(Optional.some) {
                manifests.append(descriptor(item, name))
            }
        }
        var written = known
        for signatures in items.flatMap(\.signatures) where !signatures.isEmpty {
            let (manifest, configuration) = SignatureManifest.document(of: signatures)
            let digest = SHA256.digest(of: manifest)
            for bytes in [configuration, manifest] + signatures.map(\.payload) {
                let digest = SHA256.digest(of: bytes)
                guard written.insert(digest).inserted else { continue }
                try write(.document(Self.path(digest), bytes))
            }
            var descriptor = Descriptor(
                mediaType: OCIMediaType.manifest, digest: "\(digest)", size: UInt64(manifest.count))
            descriptor.annotations = ["kind": "dev.cosignproject.cosign/sigs"]
            if let payload = try? SimpleSigningPayload(parsing: signatures[0].payload) {
                descriptor.annotations?["org.opencontainers.image.ref.name"] = SignatureManifest.tag(of: payload.digest)
            }
            manifests.append(descriptor)
        }
        // Last: a folder without it is no layout.
        try write(.document("index.json", try Self.json(Index(manifests: manifests))))
    }

    private func descriptor(_ item: Item, _ name: String?) -> Descriptor {
        let part = item.top.document.part
        var descriptor = Descriptor(mediaType: part.mediaType, digest: "\(part.digest)", size: part.sizeBytes)
        if part == item.parts.manifest, !item.parts.architecture.isEmpty {
            descriptor.platform = Descriptor.Platform(
                architecture: item.parts.architecture, os: item.parts.operatingSystem,
                variant: item.parts.variant.isEmpty ? nil : item.parts.variant)
        }
        if let name {
            var annotations = ["org.opencontainers.image.ref.name": name]
            if let reference = try? ImageReference(name) { annotations["io.containerd.image.name"] = "\(reference)" }
            descriptor.annotations = annotations
        }
        return descriptor
    }

    private func writeFolder(_ path: HostPath, _ meter: SaveMeter) throws {
        if path.exists, try !path.folderNames().isEmpty {
            throw ImageError(
                .unwritableTarget, "the folder \(path) is not empty; name one that is, or is not there yet")
        }
        try path.makeFolders()
        func place(_ name: String) -> HostPath { HostPath("\(path)/\(name)") }
        do {
            try writeLayout(meter) { part throws in
                switch part {
                case .folder(let name): try place(name).makeFolders()
                case .document(let name, let bytes): try place(name).replaceWhole(bytes)
                case .blob(let name, _, let source):
                    let file = try HostFile(place(name), [.writeOnly, .create, .truncate])
                    var buffer = [UInt8](repeating: 0, count: 1 << 18)
                    while true {
                        let count = try source.read(into: &buffer)
                        if count == 0 { break }
                        try file.write(buffer.span.extracting(first: count))
                    }
                }
            }
        } catch {
            for name in (try? place("blobs/sha256").folderNames()) ?? [] {
                try? place("blobs/sha256").appending(name).removeFile()
            }
            try? place("oci-layout").removeFile()
            for name in ["blobs/sha256", "blobs"] { try? place(name).removeEmptyFolder() }
            throw error
        }
    }

    // MARK: - Docker archive
    // Source: Docker image specification v1.2, "Combined Image JSON + Filesystem Changeset Format".

    private struct Entry: Encodable {
        let configuration: String
        let names: [String]
        let layers: [String]

        enum CodingKeys: String, CodingKey {
            case configuration = "Config"
            case names = "RepoTags"
            case layers = "Layers"
        }
    }

    private func entry(
        _ item: Item, blob: (SHA256Digest) -> String, layer: (OCIImageParts.Layer) -> String
    ) throws -> Entry {
        Entry(
            configuration: blob(item.parts.configuration.digest),
            names: item.names.compactMap { (try? ImageReference($0))?.shortDescription },
            layers: item.parts.layers.map(layer))
    }

    private func writeDocker(_ writer: inout TarWriter, _ meter: SaveMeter) throws {
        var known: Set<SHA256Digest> = []
        let layers = items.flatMap(\.parts.layers).filter { known.insert($0.tarDigest).inserted }
        // Each is read twice: a tar has a file's length before the file.
        meter.sizeBytes = 2 * layers.reduce(0) { $0 + $1.part.sizeBytes }
        func plain(_ layer: OCIImageParts.Layer) throws -> any ByteSource {
            DigestingByteSource(
                try ArchiveFormat.decompressed(CountingByteSource(try source(layer.part), meter.add)),
                expected: layer.tarDigest,
                expectedBytes: nil)
        }
        for layer in layers {
            var plainBytes: UInt64 = 0
            let source = try plain(layer)
            var buffer = [UInt8](repeating: 0, count: 1 << 18)
            while true {
                let count = try source.read(into: &buffer)
                if count == 0 { break }
                plainBytes += UInt64(count)
            }
            try writer.add("\(layer.tarDigest.hex).tar", sizeBytes: plainBytes, try plain(layer))
        }
        for item in items where known.insert(item.parts.configuration.digest).inserted {
            try writer.add("\(item.parts.configuration.digest.hex).json", item.parts.configurationBytes)
        }
        let entries = try items.map { try entry($0, blob: { "\($0.hex).json" }) { "\($0.tarDigest.hex).tar" } }
        try writer.add("manifest.json", try Self.json(entries))
    }

    // MARK: - Content

    /// A blob's bytes, verified as they are read.
    private func source(_ part: OCIImageParts.Part) throws -> any ByteSource {
        let content = try store.blobs.content(of: OCIBlob(part.digest, sizeBytes: part.sizeBytes, kind: .blob))
        return DigestingByteSource(FileContentSource(content), expected: part.digest, expectedBytes: part.sizeBytes)
    }

    private static func json(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value))
    }
}

/// Counts what has been read of what is to be written.
private final class SaveMeter {
    var sizeBytes: UInt64 = 0
    private var doneBytes: UInt64 = 0
    private let report: (UInt64, UInt64) -> Void

    init(_ report: @escaping (UInt64, UInt64) -> Void) { self.report = report }

    func add(_ bytes: UInt64) {
        doneBytes += bytes
        report(doneBytes, sizeBytes)
    }
}

extension ImageError {
    /// What kept an archive from being written, or a blob from being read.
    fileprivate init(saving error: HostFileError) {
        if error.isDiskFull {
            self.init(
                .diskFull, "the disk that holds \(error.path) is full; nothing was written. Make room and try again")
        } else {
            self.init(error, in: error.isBrokenPipe ? .readerGone : .unwritableTarget)
        }
    }
}
