public import Archives
import ErofsFormat
import FileTrees
import HostFiles
public import OCIImages

extension ImageStore {
    /// Makes an image of a folder, a tar (plain, gzip or zstd; `-` is standard input), an OCI layout or a docker archive (a
    /// folder or a tar of one), and points `name` at it. The last two are kept as they came, too.
    ///
    /// An older image of that name loses it and is removed unless another name points to it. The image's digest depends on
    /// files and configuration alone: importing the same again gives the same image.
    /// `progress` is called at most about ten times a second, on the calling thread.
    /// - Throws: with nothing left behind and the store as it was.
    @discardableResult
    public func importImage(
        from source: String, as name: String, settings: ImportSettings = ImportSettings(),
        progress: (ImportProgress) -> Void = { _ in }
    ) throws(ImageError) -> StoredImage {
        try ImageNames.check(name)
        return try measured(progress) { meter throws(ImageError) in
            let origin = ImportSource(name: source, settings: settings, store: self, meter: meter)
            try makeRoom()
            let files = try origin.readFiles()
            if let archive = try origin.archive(files) {
                return try load(archive, source: source, as: name, settings, meter)
            }
            return try importImage(as: name, source: source, settings, meter) {
                var configuration = ImageConfiguration()
                configuration.architecture = ImportSettings.hostArchitecture
                return (files, configuration)
            }
        }
    }

    /// Makes an image of blobs that are in the store, and points `name` at it. Otherwise as the other.
    ///
    /// - Parameters:
    ///   - image: read from `blobs`, which hold its layers by now, and a lease keeps.
    ///   - indexes: the blobs besides those of the image that are to stay with it.
    @discardableResult
    public func importImage(
        _ image: OCIImage, indexes: [SHA256Digest], as name: String, settings: ImportSettings = ImportSettings(),
        progress: (ImportProgress) -> Void = { _ in }
    ) throws(ImageError) -> StoredImage {
        try ImageNames.check(name)
        return try measured(progress) { meter throws(ImageError) in
            try importImage(image, indexes: indexes, as: name, settings, meter)
        }
    }

    func importImage(
        _ image: OCIImage, indexes: [SHA256Digest], as name: String, _ settings: ImportSettings, _ meter: ImportMeter
    ) throws(ImageError) -> StoredImage {
        try importImage(
            as: name, source: name, settings, meter, origin: ImageOrigin(image, indexes: indexes)
        ) { () throws(ImageError) in
            try readLayers(image, of: blobs, source: name, settings, meter)
        }
    }

    /// The blobs of images that came as such.
    public var blobs: BlobStore { BlobStore(store: self) }

    /// An image's files and what it says about its program.
    func readLayers(
        _ image: OCIImage, of blobs: any OCIBlobs, source: String, _ settings: ImportSettings, _ meter: ImportMeter
    ) throws(ImageError) -> (FileTree, ImageConfiguration) {
        let spool: ContentSpool
        do { spool = try ContentSpool(in: folders.temporary) } catch { throw ImageError(error, in: .damagedStore) }
        meter.begin(.reading, bytesTotal: image.layers.reduce(0) { $0 &+ $1.sizeBytes })
        do {
            let tree = try OCIImageReader(blobs).files(of: image, limits: settings.limits, spool: spool) {
                MeteredByteSource($0, meter)
            }
            return (tree, ImageConfiguration(image))
        } catch {
            throw ImageError(error, source: source)
        }
    }

    func measured<R>(
        _ progress: (ImportProgress) -> Void, _ body: (ImportMeter) throws(ImageError) -> R
    ) throws(ImageError) -> R {
        let result = withoutActuallyEscaping(progress) { progress -> Result<R, ImageError> in
            do throws(ImageError) {
                return .success(try body(ImportMeter(progress)))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private func importImage(
        as name: String, source: String, _ settings: ImportSettings, _ meter: ImportMeter, origin: ImageOrigin? = nil,
        _ read: () throws(ImageError) -> (tree: FileTree, configuration: ImageConfiguration)
    ) throws(ImageError) -> StoredImage {
        let path = folders.temporary.appending("import-\(processID())-\(UInt64.random(in: 0...UInt64.max)).erofs")
        let disk = try whileLocked { () throws(ImageError) in
            // Before anything is written: what a killed import left may be what fills the disk.
            collectAbandoned()
            return try lockedFile(path)
        }
        defer {
            // Once it has its place in the store, there is nothing of that name any more.
            try? path.removeFile()
            // The lock is wanted until here.
            _ = disk.descriptorNumber
        }
        var (tree, configuration) = try read()
        try configuration.apply(settings.overrides)
        let summary: ErofsSummary
        meter.begin(.writing, bytesTotal: nil)
        do {
            summary = try ErofsImageWriter.write(tree, to: disk, maximumBytes: settings.maximumContentBytes) {
                meter.set($0)
            }
        } catch {
            throw ImageError(error, source: source)
        }
        tree = FileTree()
        meter.begin(.finishing, bytesTotal: summary.sizeBytes)
        do { try disk.synchronize() } catch { throw ImageError(error, in: .damagedStore) }
        return try commit(
            path, disk: summary.digest, sizeBytes: summary.sizeBytes, configuration, name: name,
            importedSeconds: Self.nowSeconds,
            origin: origin)
    }

    /// A new file, locked until it is closed: whoever finds the lock free knows that its writer is dead.
    func lockedFile(_ path: HostPath) throws(ImageError) -> HostFile {
        do throws(HostFileError) {
            let file = try HostFile(path, [.readWrite, .create, .exclusive], mode: 0o444)
            try file.lock(isExclusive: true)
            return file
        } catch {
            throw ImageError(error, in: .damagedStore)
        }
    }
}
