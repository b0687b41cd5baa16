import NIOHTTP1

/// A blob on its way into a repository.
///
/// Source: OCI distribution-spec, "Pushing blobs".
struct BlobUpload: Sendable {
    let client: RegistryClient
    let blob: Descriptor
    let reference: ImageReference
    let endpoint: RegistryClient.Endpoint
    let source: any BlobSource
    let progress: @Sendable (UInt64) -> Void

    private var what: String { "\(reference.repository)@\(blob.digest)" }
    private var uploads: String { "/v2/\(reference.repository)/blobs/uploads/" }

    /// Where an upload that was begun goes on.
    struct Session {
        var address: WebAddress
        var partBytes: UInt64
    }

    func mount(from other: String) async throws(RegistryError) -> Bool {
        try await client.retrying { () async throws(RegistryError) in
            let call = RegistryClient.Call(
                .POST, endpoint, reference.repository, uploads,
                resources: RegistryClient.push(reference.repository) + RegistryClient.pull(other),
                query: [("mount", "\(blob.digest)"), ("from", other)])
            let answer = try await client.exchange(call, what: what)
            if answer.status == 201 { return true }
            guard answer.isSuccess || answer.status == 404 else {
                throw await client.failure(answer, endpoint, what)
            }
            // An upload was begun instead. It is given up rather than left to lie about.
            if let session = try? session(answer) {
                _ = try? await client.exchange(self.call(.DELETE, session), what: what)
            }
            return false
        }
    }

    /// Sends the whole blob: in one request, or in parts where it is long.
    func send() async throws(RegistryError) {
        try await client.retrying { () async throws(RegistryError) in
            var session = try await begin()
            var offset: UInt64 = 0
            if blob.sizeBytes > session.partBytes {
                while offset < blob.sizeBytes { offset = try await sendPart(from: offset, &session) }
            }
            try await commit(from: offset, session)
        }
    }

    private func begin() async throws(RegistryError) -> Session {
        let call = RegistryClient.Call(
            .POST, endpoint, reference.repository, uploads, resources: RegistryClient.push(reference.repository))
        let answer = try await client.exchange(call, what: what)
        guard answer.status == 202 else { throw await client.failure(answer, endpoint, what) }
        await client.transport.finish(answer)
        return try session(answer)
    }

    /// Sends the part from `offset` on; after a failure the registry is asked how much of it came.
    /// - Returns: where the next part begins.
    private func sendPart(from offset: UInt64, _ session: inout Session) async throws(RegistryError) -> UInt64 {
        var offset = offset
        var attempt = 1
        while true {
            let end = min(offset + session.partBytes, blob.sizeBytes)
            do throws(RegistryError) {
                let range = offset..<end
                var call = self.call(.PATCH, session)
                call.request.headers.add(name: "Content-Type", value: "application/octet-stream")
                call.request.headers.add(name: "Content-Range", value: "\(range.lowerBound)-\(range.upperBound - 1)")
                let answer = try await transfer(call, range)
                guard answer.isSuccess else { throw await client.failure(answer, endpoint, what) }
                session = try self.session(answer)
                await client.transport.finish(answer)
                progress(end)
                return end
            } catch {
                attempt += 1
                try await client.pause(before: attempt, after: error)
                (offset, session) = try await resume(session)
            }
        }
    }

    /// How much of an upload the registry has.
    private func resume(_ session: Session) async throws(RegistryError) -> (UInt64, Session) {
        let answer = try await client.exchange(call(.GET, session), what: what)
        if answer.status == 404 {
            throw RegistryError(
                .refused, "\(answer.address.authority) has forgotten the upload of \(what)", isTransient: true)
        }
        guard answer.isSuccess else { throw await client.failure(answer, endpoint, what) }
        var next = session
        if answer.header("Location") != nil { next = try self.session(answer) }
        // `0-0` is what some say of nothing; the first byte is sent again then.
        let last = answer.header("Range")?.split(separator: "-").last.flatMap { UInt64($0) } ?? 0
        let offset = last == 0 ? 0 : min(last, blob.sizeBytes - 1) + 1
        progress(offset)
        return (offset, next)
    }

    private func commit(from offset: UInt64, _ session: Session) async throws(RegistryError) {
        let address = session.address.appending("", query: [("digest", "\(blob.digest)")])
        var call = RegistryClient.Call(
            .PUT, endpoint, reference.repository, at: address, resources: RegistryClient.push(reference.repository))
        call.request.headers.add(name: "Content-Type", value: "application/octet-stream")
        let answer = try await transfer(call, offset..<blob.sizeBytes)
        guard answer.isSuccess else { throw await client.failure(answer, endpoint, what) }
        if let kept = answer.header("Docker-Content-Digest"), kept.hasPrefix("sha256:"), kept != "\(blob.digest)" {
            throw RegistryError(
                .wrongContent, "\(answer.address.authority) keeps \(what) as \(Printable.text(kept, limit: 80))")
        }
        await client.transport.finish(answer)
        progress(blob.sizeBytes)
    }

    /// Sends a request with a part of the blob; it may last as long as the part moves.
    private func transfer(
        _ call: RegistryClient.Call, _ range: Range<UInt64>
    ) async throws(RegistryError) -> Transport.Answer {
        let (client, what, settings) = (client, what, client.settings)
        let pace = TransferPace()
        let part = BlobPart(source: source, range: range, pace: pace, progress: progress)
        var prepared = call
        // Behind the last byte the registry checks and moves what it got.
        prepared.request.timeLimit = settings.commitTimeout + .seconds(Int64(range.count >> 10))
        prepared.request.body = range.isEmpty ? .bytes([]) : .blob(part)
        let request = prepared
        do {
            return try await pace.watched(limit: settings.commitTimeout, leastBytes: 1, host: endpoint.base.authority) {
                try await client.exchange(request, what: what)
            }
        } catch {
            throw RegistryError(error, at: call.request.address, settings: settings)
        }
    }

    private func call(_ method: HTTPMethod, _ session: Session) -> RegistryClient.Call {
        RegistryClient.Call(
            method, endpoint, reference.repository, at: session.address,
            resources: RegistryClient.push(reference.repository))
    }

    /// Where the registry wants what comes next, and in parts of what size.
    private func session(_ answer: Transport.Answer) throws(RegistryError) -> Session {
        guard let location = answer.header("Location"), let address = answer.address.resolving(location) else {
            throw RegistryError(
                .invalidAnswer, "\(answer.address.authority) does not say where \(what) is to be sent")
        }
        try client.transport.check(address, from: endpoint.base)
        let least = answer.header("OCI-Chunk-Min-Length").flatMap { UInt64($0) } ?? 0
        return Session(address: address, partBytes: max(client.settings.uploadPartBytes, min(least, 1 << 30)))
    }
}
