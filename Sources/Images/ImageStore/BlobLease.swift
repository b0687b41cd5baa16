public import Archives
import HostFiles
import Synchronization

/// Keeps blobs in the store that no image needs yet, for as long as it and its process live.
public final class BlobLease: Sendable {
    private let store: ImageStore
    private let file: HostFile
    private let path: HostPath
    private let digests = Mutex<Set<SHA256Digest>>([])

    public init(_ store: ImageStore) throws(ImageError) {
        self.store = store
        path = store.folders.newLease()
        let path = path
        file = try store.whileLocked { () throws(ImageError) in try store.lockedFile(path) }
    }

    deinit { try? path.removeFile() }

    /// From now on the blob stays, whether it is there yet or not.
    public func keep(_ digest: SHA256Digest) throws(ImageError) {
        let place = digests.withLock { $0.insert(digest).inserted ? UInt64($0.count - 1) : nil }
        guard let place else { return }
        // Whoever collects leftovers holds the lock too: no blob goes between this and the look whether it is there.
        try store.whileLocked { () throws(ImageError) in
            do throws(HostFileError) {
                try file.write(Array((digest.hex + "\n").utf8), at: place * 65)
            } catch {
                throw ImageError(error, in: .damagedStore)
            }
        }
    }

    /// The blobs that a lease's file names.
    static func digests(_ path: HostPath) -> [String] {
        let bytes = (try? path.readWhole(limit: 1 << 20)) ?? []
        return String(decoding: bytes, as: UTF8.self).split { $0 == "\n" || $0 == "\0" }.map(String.init)
    }
}
