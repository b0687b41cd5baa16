public import Archives
import NIOHTTP1

extension RegistryClient {
    /// The manifest or index that a reference names, verified; mirrors are asked first.
    /// - Throws: `.notFound`, `.unauthorized`, `.wrongContent` and everything else that can go wrong on the way.
    public func manifest(_ reference: ImageReference) async throws(RegistryError) -> Manifest {
        try await anywhere(reference) { endpoint async throws(RegistryError) in
            try await self.retrying { () async throws(RegistryError) in try await self.manifest(reference, endpoint) }
        }
    }

    /// What a reference names now, without its content where the registry tells it so.
    public func descriptor(of reference: ImageReference) async throws(RegistryError) -> Descriptor {
        try await anywhere(reference) { endpoint async throws(RegistryError) in
            try await self.retrying { () async throws(RegistryError) in
                let answer = try await self.exchange(
                    Self.manifestCall(.HEAD, reference, endpoint), what: Self.what(reference))
                guard answer.isSuccess, let type = answer.header("Content-Type"),
                    let size = answer.header("Content-Length").flatMap({ UInt64($0) }),
                    let text = answer.header("Docker-Content-Digest"), let digest = SHA256Digest(description: text),
                    size <= Manifest.maximumBytes
                else {
                    // Its words come with GET; and some registries know no HEAD, or leave out the digest.
                    return try await self.manifest(reference, endpoint).descriptor
                }
                guard reference.digest == nil || reference.digest == digest else {
                    throw RegistryError(
                        .wrongContent, "\(answer.address.authority) announces \(digest) as \(Self.what(reference))")
                }
                return Descriptor(
                    mediaType: Printable.text(type.prefix { $0 != ";" }, limit: 200), digest: digest, sizeBytes: size)
            }
        }
    }

    /// Puts a manifest, whose blobs are there already, under the reference's tag, or its own digest where it has no tag.
    /// - Returns: its digest.
    @discardableResult
    public func push(
        manifest bytes: [UInt8], mediaType: String, to reference: ImageReference
    ) async throws(RegistryError) -> SHA256Digest {
        let digest = SHA256.digest(of: bytes)
        guard reference.digest == nil || reference.digest == digest else {
            throw RegistryError(.wrongContent, "the manifest has the digest \(digest), not that of \(reference)")
        }
        let target = reference.tag ?? "\(digest)"
        let what = "\(reference.repository):\(target)"
        return try await origin(reference) { endpoint async throws(RegistryError) in
            try await self.retrying { () async throws(RegistryError) in
                var call = Call(
                    .PUT, endpoint, reference.repository, "/v2/\(reference.repository)/manifests/\(target)",
                    resources: Self.push(reference.repository))
                call.request.headers.add(name: "Content-Type", value: mediaType)
                call.request.body = .bytes(bytes)
                let answer = try await self.exchange(call, what: what)
                guard answer.isSuccess else { throw await self.failure(answer, endpoint, what) }
                if let kept = answer.header("Docker-Content-Digest"), kept.hasPrefix("sha256:"), kept != "\(digest)" {
                    throw RegistryError(
                        .wrongContent,
                        "\(answer.address.authority) keeps \(what) as \(Printable.text(kept, limit: 80)), not \(digest)"
                    )
                }
                await self.transport.finish(answer)
                return digest
            }
        }
    }

    private func manifest(
        _ reference: ImageReference, _ endpoint: Endpoint
    ) async throws(RegistryError) -> Manifest {
        let what = Self.what(reference)
        let answer = try await exchange(Self.manifestCall(.GET, reference, endpoint), what: what)
        guard answer.status == 200 else { throw await failure(answer, endpoint, what) }
        let bytes = try await transport.bytes(of: answer, limit: Manifest.maximumBytes, what: "a manifest")
        return try Manifest(
            bytes, contentType: answer.header("Content-Type"), announcedDigest: answer.header("Docker-Content-Digest"),
            wanted: reference.digest, what: what, host: answer.address.authority)
    }

    private static func manifestCall(_ method: HTTPMethod, _ reference: ImageReference, _ endpoint: Endpoint) -> Call {
        var call = Call(
            method, endpoint, reference.repository,
            "/v2/\(reference.repository)/manifests/\(reference.tagOrDigest)", resources: pull(reference.repository))
        call.request.headers.add(name: "Accept", value: Manifest.MediaType.accepted)
        return call
    }

    static func what(_ reference: ImageReference) -> String {
        reference.repository + (reference.digest == nil ? ":" : "@") + reference.tagOrDigest
    }
}
