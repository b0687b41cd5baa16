public import Archives
import NIOHTTP1

extension RegistryClient {
    /// Brings a blob into a sink, and returns when it is there whole and has the right length and digest.
    ///
    /// What the sink has already is continued, and a broken connection is taken up where it broke. At most
    /// `settings.parallelTransfers` blobs move at a time; the others wait here.
    /// - Parameter progress: how many bytes are there; it goes back to zero when a blob has to come again.
    /// - Throws: when it is not there whole. A sink holds then what a later call may continue, or nothing.
    public func download(
        _ blob: Descriptor, of reference: ImageReference, to sink: any BlobSink,
        progress: @escaping @Sendable (UInt64) -> Void = { _ in }
    ) async throws(RegistryError) {
        try await transfers.pass { () async throws(RegistryError) in
            let download = BlobDownload(blob, sink, progress)
            try download.begin()
            if try download.finish() { return }
            try await self.anywhere(reference) { endpoint async throws(RegistryError) in
                try await self.download(download, reference, endpoint)
            }
        }
    }

    /// Whether a repository has a blob.
    public func hasBlob(_ digest: SHA256Digest, in reference: ImageReference) async throws(RegistryError) -> Bool {
        try await origin(reference) { endpoint async throws(RegistryError) in
            try await self.hasBlob(digest, reference, endpoint, Self.pull(reference.repository))
        }
    }

    func hasBlob(
        _ digest: SHA256Digest, _ reference: ImageReference, _ endpoint: Endpoint, _ resources: [String]
    ) async throws(RegistryError) -> Bool {
        try await retrying { () async throws(RegistryError) in
            let call = Call(
                .HEAD, endpoint, reference.repository, "/v2/\(reference.repository)/blobs/\(digest)",
                resources: resources)
            let answer = try await self.exchange(call, what: "\(reference.repository)@\(digest)")
            if answer.status == 404 { return false }
            guard answer.isSuccess else {
                throw await self.failure(answer, endpoint, "\(reference.repository)@\(digest)")
            }
            return true
        }
    }

    private func download(
        _ download: BlobDownload, _ reference: ImageReference, _ endpoint: Endpoint
    ) async throws(RegistryError) {
        var attempt = 1
        while true {
            let before = download.sizeBytes
            do {
                try await receive(download, reference, endpoint)
                if try download.finish() { return }
            } catch {
                // Whoever brings a good piece each time may break as often as there are pieces.
                attempt = download.sizeBytes >= before + BlobDownload.progressBytes ? 2 : attempt + 1
                try await pause(before: attempt, after: error)
            }
        }
    }

    /// One connection's worth of a blob.
    private func receive(
        _ download: BlobDownload, _ reference: ImageReference, _ endpoint: Endpoint
    ) async throws(RegistryError) {
        let what = "\(reference.repository)@\(download.blob.digest)"
        var call = Call(
            .GET, endpoint, reference.repository, "/v2/\(reference.repository)/blobs/\(download.blob.digest)",
            resources: Self.pull(reference.repository))
        let start = download.sizeBytes
        if start > 0 { call.request.headers.add(name: "Range", value: "bytes=\(start)-") }
        let answer = try await exchange(call, what: what)
        let host = answer.address.authority
        switch answer.status {
        case 200: if start > 0 { try download.restart() }
        case 206 where start > 0: try download.checkRange(answer.header("Content-Range"), host)
        case 416 where start > 0:
            try download.restart()
            throw RegistryError(.invalidAnswer, "\(host) does not continue \(what)", isTransient: true)
        default: throw await failure(answer, endpoint, what)
        }
        try download.checkLength(answer.header("Content-Length"), host)
        let pace = TransferPace()
        do {
            try await pace.watched(limit: settings.stallTimeout, leastBytes: settings.stallBytes, host: host) {
                for try await piece in answer.body {
                    pace.moved(UInt64(piece.readableBytes))
                    try pace.busy { () throws(RegistryError) in
                        try download.append(piece.readableBytesUInt8Span, host)
                    }
                }
            }
        } catch {
            throw RegistryError(error, at: answer.address, settings: settings)
        }
        try download.checkEnd(host)
    }
}
