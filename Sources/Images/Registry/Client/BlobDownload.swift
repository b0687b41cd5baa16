import Archives
import Synchronization

/// A blob that is coming: how much is there, and its digest so far.
final class BlobDownload: Sendable {
    let blob: Descriptor
    private let sink: any BlobSink
    private let progress: @Sendable (UInt64) -> Void

    private struct State {
        var sizeBytes: UInt64 = 0
        var hash = SHA256()
        /// Whether some of it was there before, so that a wrong digest may be that part's fault.
        var isContinued = false
    }
    private let state = Mutex(State())

    /// What one attempt must bring at least to be no failure that counts.
    static let progressBytes: UInt64 = 1 << 20

    init(_ blob: Descriptor, _ sink: any BlobSink, _ progress: @escaping @Sendable (UInt64) -> Void) {
        self.blob = blob
        self.sink = sink
        self.progress = progress
    }

    var sizeBytes: UInt64 { state.withLock { $0.sizeBytes } }

    func begin() throws(RegistryError) {
        let start: (sizeBytes: UInt64, hash: SHA256)
        do { start = try sink.begin() } catch { throw RegistryError(error) }
        if start.sizeBytes > blob.sizeBytes { return try restart() }
        state.withLock { $0 = State(sizeBytes: start.sizeBytes, hash: start.hash, isContinued: start.sizeBytes > 0) }
        if start.sizeBytes > 0 { progress(start.sizeBytes) }
    }

    func append(_ bytes: Span<UInt8>, _ host: String) throws(RegistryError) {
        guard UInt64(bytes.count) <= blob.sizeBytes - sizeBytes else {
            try restart()
            throw RegistryError(
                .wrongContent, "\(host) sends more than the \(blob.sizeBytes) bytes that \(blob.digest) has")
        }
        do { try sink.append(bytes) } catch { throw RegistryError(error) }
        let size = state.withLock { state in
            state.hash.update(bytes)
            state.sizeBytes += UInt64(bytes.count)
            return state.sizeBytes
        }
        progress(size)
    }

    func restart() throws(RegistryError) {
        do { try sink.restart() } catch { throw RegistryError(error) }
        state.withLock { $0 = State() }
        progress(0)
    }

    /// Whether it is there whole; a first part that turns out to be wrong is thrown away, once.
    /// - Throws: `.wrongContent`.
    func finish() throws(RegistryError) -> Bool {
        guard sizeBytes == blob.sizeBytes else { return false }
        let (found, isContinued) = state.withLock { state in
            var hash = state.hash
            return (hash.finalize(), state.isContinued)
        }
        if found == blob.digest { return true }
        try restart()
        if isContinued { return false }
        throw RegistryError(
            .wrongContent, "what came as \(blob.digest) has the digest \(found); nothing of it is kept")
    }

    // MARK: - What answers announce

    /// Source: RFC 9110 §14.4.
    func checkRange(_ header: String?, _ host: String) throws(RegistryError) {
        let parts = (header ?? "").split(whereSeparator: { " -/".contains($0) })
        guard parts.count == 4, parts[0].lowercased() == "bytes", UInt64(parts[1]) == sizeBytes,
            let last = UInt64(parts[2]), last < blob.sizeBytes, last >= sizeBytes,
            parts[3] == "*" || UInt64(parts[3]) == blob.sizeBytes
        else {
            throw RegistryError(
                .wrongContent,
                "\(host) continues \(blob.digest) with another part than was asked for: "
                    + "\(Printable.text(header ?? "it does not say which", limit: 80))")
        }
    }

    func checkLength(_ header: String?, _ host: String) throws(RegistryError) {
        guard let header else { return }
        let left = blob.sizeBytes - sizeBytes
        guard let length = UInt64(header), length <= left else {
            throw RegistryError(
                .wrongContent,
                "\(host) announces \(Printable.text(header, limit: 40)) bytes of \(blob.digest) where \(left) are left")
        }
    }

    func checkEnd(_ host: String) throws(RegistryError) {
        guard sizeBytes < blob.sizeBytes else { return }
        throw RegistryError(
            .truncated, "\(host) sends \(sizeBytes) of the \(blob.sizeBytes) bytes of \(blob.digest)", isTransient: true
        )
    }
}
