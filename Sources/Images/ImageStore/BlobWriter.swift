public import Archives
public import HostFiles
import Synchronization

/// A blob that is being written. Its file is locked; without `finish` it stays for a later writer to go on with.
public final class BlobWriter: Sendable {
    private struct State {
        var hash = SHA256()
        var writtenBytes: UInt64 = 0
    }

    private let file: HostFile
    private let path: HostPath
    private let folder: HostPath
    private let digest: SHA256Digest
    private let sizeBytes: UInt64
    private let state = Mutex(State())

    /// - Parameter folder: where the blob is to be in the end.
    init(
        _ file: consuming HostFile, at path: HostPath, folder: HostPath, _ digest: SHA256Digest, sizeBytes: UInt64
    ) throws(HostFileError) {
        self.file = file
        self.path = path
        self.folder = folder
        self.digest = digest
        self.sizeBytes = sizeBytes
        try readWhatIsThere()
    }

    /// What an earlier writer left counts towards the digest; a file that is too long cannot be of this blob.
    private func readWhatIsThere() throws(HostFileError) {
        guard try file.status().sizeBytes <= sizeBytes else { return try restart() }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = try file.read(buffer.count, at: writtenBytes, into: &buffer)
            if count == 0 { return }
            state.withLock {
                $0.hash.update(buffer, first: count)
                $0.writtenBytes += UInt64(count)
            }
        }
    }

    /// How many bytes are there already; the next are to begin here.
    public var writtenBytes: UInt64 { state.withLock { $0.writtenBytes } }
    /// Of the bytes that are there.
    public var hash: SHA256 { state.withLock { $0.hash } }

    /// Forgets what is there: the next bytes are the blob's first.
    public func restart() throws(HostFileError) {
        try file.truncate(to: 0)
        state.withLock { $0 = State() }
    }

    /// Writes what comes next. Calls come one after the other.
    public func append(_ bytes: Span<UInt8>) throws(HostFileError) {
        try file.write(bytes, at: writtenBytes)
        state.withLock {
            $0.hash.update(bytes)
            $0.writtenBytes += UInt64(bytes.count)
        }
    }

    /// Verifies the blob and puts it into its place; one that is wrong is forgotten. To be called once.
    /// - Throws: `.wrongBlob`, `.diskFull`.
    public func finish() throws(ImageError) {
        var hash = hash
        let found = hash.finalize()
        guard writtenBytes == sizeBytes, found == digest else {
            let came = "what came for \(digest) has \(writtenBytes) bytes and the digest \(found)"
            do { try restart() } catch { throw ImageError(error, in: .damagedStore) }
            throw ImageError(.wrongBlob, came)
        }
        do throws(HostFileError) {
            try file.synchronize()
            try path.rename(to: folder.appending(digest.hex))
            try folder.synchronizeFolder()
        } catch {
            throw ImageError(error, in: .damagedStore)
        }
    }
}
