public import Archives
public import FileTrees
import HostFiles
public import OCIImages

/// The blobs of images that came from a registry, each a file named by its digest. What is there is whole and right.
///
/// A blob stays as long as an image's record names it or a living `BlobLease` does.
public struct BlobStore: OCIBlobs {
    let store: ImageStore

    public func content(of blob: OCIBlob) throws(OCIError) -> FileContent {
        let path = store.folders.blob(blob.digest)
        guard path.exists else { throw .absent(blob) }
        do throws(HostFileError) {
            let file = try HostFile(path)
            let sizeBytes = try file.status().sizeBytes
            let piece = FileContent.Piece(offset: 0, length: sizeBytes, sourceOffset: 0)
            return FileContent(
                sizeBytes: sizeBytes, pieces: sizeBytes == 0 ? [] : [piece], source: ContentSource(file))
        } catch {
            throw .files(.host(error))
        }
    }

    /// Whether a blob is there. It stays only while a lease or a record names it.
    public func contains(_ digest: SHA256Digest) -> Bool { store.folders.blob(digest).exists }

    /// What whoever wants a blob to be there has to do.
    public enum Writing {
        case isThere
        /// Another process, or another part of this one, is at it: to be asked again a little later.
        case isBusy
        case begun(BlobWriter)
    }

    /// Begins to write a blob, or goes on with what an earlier writer left.
    public func write(_ digest: SHA256Digest, sizeBytes: UInt64) throws(ImageError) -> Writing {
        if contains(digest) { return .isThere }
        let path = store.folders.partialBlob(digest)
        do throws(HostFileError) {
            try store.folders.make()
            try store.folders.blobs.makeFolders()
            let file = try HostFile(path, [.readWrite, .create], mode: 0o644)
            // It may have got its place, or been removed, in between.
            guard file.tryLock(), try (try? path.status())?.inodeNumber == file.status().inodeNumber else {
                return .isBusy
            }
            return .begun(
                try BlobWriter(file, at: path, folder: store.folders.blobs, digest, sizeBytes: sizeBytes))
        } catch {
            throw ImageError(error, in: .damagedStore)
        }
    }
}
