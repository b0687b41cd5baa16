import Archives
import HostFiles

/// A blob that is being written. Its file is locked; without `finish` it stays for a later writer to go on with.
public final class BlobWriter {
    private let file: HostFile
    private let path: HostPath
    private let folder: HostPath
    private let digest: SHA256Digest
    private let sizeBytes: UInt64
    private var hash = SHA256()
    /// How many bytes are there already; the next are to begin here.
    public private(set) var writtenBytes: UInt64 = 0

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
        guard try file.status().sizeBytes <= sizeBytes else { return try forget() }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = try file.read(buffer.count, at: writtenBytes, into: &buffer)
            if count == 0 { return }
            hash.update(buffer, first: count)
            writtenBytes += UInt64(count)
        }
    }

    /// Forgets what is there: the next bytes are the blob's first.
    public func restart() throws(ImageError) {
        do { try forget() } catch { throw ImageError(error, in: .damagedStore) }
    }

    private func forget() throws(HostFileError) {
        try file.truncate(to: 0)
        (hash, writtenBytes) = (SHA256(), 0)
    }

    /// - Throws: `.wrongBlob` when more comes than the blob has, `.diskFull`.
    public func append(_ bytes: Span<UInt8>) throws(ImageError) {
        guard UInt64(bytes.count) <= sizeBytes - writtenBytes else {
            throw ImageError(.wrongBlob, "more than the \(sizeBytes) bytes of \(digest) came")
        }
        do { try file.write(bytes, at: writtenBytes) } catch { throw ImageError(error, in: .damagedStore) }
        hash.update(bytes)
        writtenBytes += UInt64(bytes.count)
    }

    /// Verifies the blob and puts it into its place; one that is wrong is forgotten. To be called once.
    public func finish() throws(ImageError) {
        guard writtenBytes == sizeBytes else {
            throw ImageError(.wrongBlob, "only \(writtenBytes) of the \(sizeBytes) bytes of \(digest) came")
        }
        let found = hash.finalize()
        guard found == digest else {
            try restart()
            throw ImageError(.wrongBlob, "what came for \(digest) has the digest \(found)")
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
