import Archives
public import FileTrees
import HostFiles
import JSONValues
import LinuxCalls
public import OCIImages

extension ImageStore {
    /// The images that an OCI layout or a docker archive holds: a folder or a tar (plain, gzip or zstd; `-` is standard
    /// input). Nothing is in the store by that; `load` brings them in.
    /// - Throws: `.invalidSource` also for what is no archive of images.
    public func archivedImages(
        in source: String, settings: ImportSettings = ImportSettings(), progress: (ImportProgress) -> Void = { _ in }
    ) throws(ImageError) -> [ArchivedImage] {
        try measured(progress) { meter throws(ImageError) in
            let origin = ImportSource(name: source, settings: settings, store: self, meter: meter)
            try makeRoom()
            guard let archive = try origin.archive(try origin.readFiles()) else {
                throw ImageError(
                    .invalidSource,
                    "\(source) holds no images: it is neither an OCI layout nor a docker archive. Plain files become an "
                        + "image by: swiftlet image import NAME \(source)")
            }
            do throws(OCIError) { return try archive.images(architecture: settings.architecture) } catch {
                throw ImageError(error, source: source)
            }
        }
    }

    /// The files of a folder or a tar (plain, gzip or zstd; `-` is standard input), for what is no image. What comes through a
    /// pipe or a decompressor lies in a scratch file of the store for as long as they are used.
    public func archivedFiles(
        in source: String, progress: (ImportProgress) -> Void = { _ in }
    ) throws(ImageError) -> FileTrees.FileTree {
        try measured(progress) { meter throws(ImageError) in
            let origin = ImportSource(name: source, settings: ImportSettings(), store: self, meter: meter)
            try makeRoom()
            return try origin.readFiles()
        }
    }

    /// Brings an archived image in, with its blobs, and points names at it; there must be one at least.
    @discardableResult
    public func load(
        _ archived: ArchivedImage, as names: [String], settings: ImportSettings = ImportSettings(),
        progress: (ImportProgress) -> Void = { _ in }
    ) throws(ImageError) -> StoredImage {
        try measured(progress) { meter throws(ImageError) in try load(archived, as: names, settings, meter) }
    }

    func load(
        _ archive: ImageArchive, source: String, as name: String, _ settings: ImportSettings, _ meter: ImportMeter
    ) throws(ImageError) -> StoredImage {
        let archived: ArchivedImage
        do {
            archived = try archive.image(architecture: settings.architecture, reference: settings.layoutReference)
        } catch {
            throw ImageError(error, source: source)
        }
        return try load(archived, as: [name], settings, meter)
    }

    func load(
        _ archived: ArchivedImage, as names: [String], _ settings: ImportSettings, _ meter: ImportMeter
    ) throws(ImageError) -> StoredImage {
        for name in names { try ImageNames.check(name) }
        guard let first = names.first else {
            throw ImageError(.invalidName, "the archive gives an image no name; give it one: --name NAME")
        }
        let lease = try BlobLease(self)
        let scratch = try StoreScratch(self)
        let archived = try compressingOwnLayers(of: archived, scratch, meter)
        try copy(archived, lease, meter)
        var (image, companions, settings) = (archived.image, archived.companions, settings)
        if !settings.overrides.isEmpty {
            guard image.artifactType == nil else {
                throw ImageError(.invalidName, "what an appliance runs is its description's, and stays as it is signed")
            }
            image = try reconfigured(image, settings.overrides, lease)
            // It is in no index, as it is now.
            companions = []
            settings.overrides = ImportSettings.Overrides()
        }
        var stored = try importImage(image, indexes: companions, as: first, settings, meter)
        for name in names.dropFirst() { stored = try tag(stored.digest, as: name) }
        return stored
    }

    /// What killed commands left may be what fills the disk.
    func makeRoom() throws(ImageError) {
        try whileLocked { collectAbandoned() }
    }

    // MARK: - Blobs

    private func copy(_ archived: ArchivedImage, _ lease: BlobLease, _ meter: ImportMeter) throws(ImageError) {
        meter.begin(.reading, bytesTotal: archived.blobs.reduce(0) { $0 + $1.content.sizeBytes })
        for blob in archived.blobs {
            try lease.keep(blob.digest)
            guard let writer = try writer(blob.digest, blob.content.sizeBytes) else { continue }
            do throws(HostFileError) { try writer.restart() } catch { throw ImageError(error, in: .damagedStore) }
            switch blob.content {
            case .bytes(let bytes): try append(bytes.span, to: writer)
            case .file(let content):
                let source = CountingByteSource(FileContentSource(content), meter.add)
                var buffer = [UInt8](repeating: 0, count: 1 << 18)
                while true {
                    let count: Int
                    do { count = try source.read(into: &buffer) } catch .host(let error) {
                        throw ImageError(error, in: .unreadableSource)
                    } catch {
                        throw ImageError(.invalidSource, "\(error)")
                    }
                    if count == 0 { break }
                    try append(buffer.span.extracting(first: count), to: writer)
                }
            }
            try writer.finish()
        }
    }

    func append(_ bytes: Span<UInt8>, to writer: BlobWriter) throws(ImageError) {
        do { try writer.append(bytes) } catch { throw ImageError(error, in: .damagedStore) }
    }

    /// Nil when the blob is there; waits while somebody else is at it.
    func writer(_ digest: SHA256Digest, _ sizeBytes: UInt64) throws(ImageError) -> BlobWriter? {
        while true {
            switch try blobs.write(digest, sizeBytes: sizeBytes) {
            case .isThere: return nil
            case .begun(let writer): return writer
            case .isBusy: LinuxCalls.sleep(nanoseconds: 50_000_000)
            }
        }
    }

    // MARK: - What the person who imports says

    /// The same layers under another configuration, so that what is handed on says what runs here.
    private func reconfigured(
        _ image: OCIImage, _ overrides: ImportSettings.Overrides, _ lease: BlobLease
    ) throws(ImageError) -> OCIImage {
        var wanted = ImageConfiguration(image)
        try wanted.apply(overrides)
        var configuration = try document(image.configurationDigest)
        configuration["config"] = wanted.program(over: configuration["config"] ?? .object([:]))
        if case .list(let steps) = configuration["history"] {
            let step = JSONValue.object(["created_by": .text("swiftlet image import"), "empty_layer": .flag(true)])
            configuration["history"] = .list(steps + [step])
        }
        let configurationBytes = configuration.bytes
        let digest = try keep(configurationBytes, lease)
        var manifest = try document(image.manifestDigest)
        var descriptor = manifest["config"] ?? .object([:])
        descriptor["digest"] = .text("\(digest)")
        descriptor["size"] = .integer(Int64(configurationBytes.count))
        manifest["config"] = descriptor
        let manifestBytes = manifest.bytes
        let manifestDigest = try keep(manifestBytes, lease)
        do {
            return try OCIImageReader(blobs).image(
                manifestDigest, sizeBytes: UInt64(manifestBytes.count), mediaType: OCIMediaType.manifest,
                architecture: image.architecture)
        } catch {
            throw ImageError(error, source: "the image")
        }
    }

    private func document(_ digest: SHA256Digest) throws(ImageError) -> JSONValue {
        do throws(HostFileError) {
            if let value = JSONValue(try folders.blob(digest).readWhole(limit: 4 << 20)) { return value }
        } catch {
            throw ImageError(error, in: .damagedStore)
        }
        throw ImageError(.invalidSource, "the document \(digest) of the image is no JSON")
    }

    func keep(_ bytes: [UInt8], _ lease: BlobLease) throws(ImageError) -> SHA256Digest {
        let digest = SHA256.digest(of: bytes)
        try lease.keep(digest)
        guard let writer = try writer(digest, UInt64(bytes.count)) else { return digest }
        do throws(HostFileError) { try writer.restart() } catch { throw ImageError(error, in: .damagedStore) }
        try append(bytes.span, to: writer)
        try writer.finish()
        return digest
    }
}

extension ArchivedImage.Content {
    var sizeBytes: UInt64 {
        switch self {
        case .bytes(let bytes): UInt64(bytes.count)
        case .file(let content): content.sizeBytes
        }
    }
}

extension ImportSettings.Overrides {
    var isEmpty: Bool {
        entrypoint == nil && command == nil && environment.isEmpty && user == nil && workingDirectory == nil
            && labels.isEmpty
    }
}
