import Archives
import ErofsFormat
import FileTrees
import HostFiles
import LinuxCalls

extension ImageStore {
    /// Makes an image of a folder, a tar (plain, gzip or zstd; `-` is standard input) or an OCI layout (a folder or a tar
    /// of one), and points `name` at it.
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
        let result = withoutActuallyEscaping(progress) { progress -> Result<StoredImage, ImageError> in
            let meter = ImportMeter(progress)
            do throws(ImageError) {
                return .success(try importImage(source, name, settings, meter))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private func importImage(
        _ source: String, _ name: String, _ settings: ImportSettings, _ meter: ImportMeter
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
        var (tree, configuration) = try ImportSource(
            name: source, settings: settings, temporary: folders.temporary, meter: meter
        ).read()
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
        let now = Int64(Clock.realTime.nanoseconds() / 1_000_000_000)
        return try commit(
            path, disk: summary.digest, sizeBytes: summary.sizeBytes, configuration, name: name, importedSeconds: now)
    }

    /// A new file, locked until it is closed: whoever finds the lock free knows that its writer is dead.
    private func lockedFile(_ path: HostPath) throws(ImageError) -> HostFile {
        do throws(HostFileError) {
            let file = try HostFile(path, [.readWrite, .create, .exclusive], mode: 0o444)
            try file.lock(isExclusive: true)
            return file
        } catch {
            throw ImageError(error, in: .damagedStore)
        }
    }
}
