public import Archives
import ErofsFormat
import FileTrees
import HostFiles
public import OCIImages

extension ImageStore {
    /// Makes an image of a folder, a tar (plain, gzip or zstd; `-` is standard input), an OCI layout or a docker archive (a
    /// folder or a tar of one), and points `name` at it. Plain files become one layer, as OCI describes it.
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
            return try load(files, source: source, as: name, settings, meter)
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
        if let type = image.artifactType {
            return try importArtifact(image, type, indexes: indexes, as: name, meter)
        }
        var configuration = ImageConfiguration(image)
        try configuration.apply(settings.overrides)
        let lease = try BlobLease(self)
        meter.begin(.reading, bytesTotal: image.layers.reduce(0) { $0 &+ $1.sizeBytes })
        var doneBytes: UInt64 = 0
        for layer in image.layers {
            let before = doneBytes
            try convert(layer, keptBy: lease, settings: settings) { meter.set(before &+ $0) }
            doneBytes &+= layer.sizeBytes
        }
        meter.begin(.writing, bytesTotal: nil)
        let layers = image.layers.map(\.tarDigest)
        let (tree, segments) = try merge(layers, limits: settings.limits, source: name)
        return try writeImage(
            DiskContent(
                tree: tree, segments: segments, configuration: configuration, layers: layers,
                origin: ImageOrigin(image, indexes: indexes)), as: name, source: name, meter)
    }

    /// The blobs of images that came as such.
    public var blobs: BlobStore { BlobStore(store: self) }

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
