public import Archives
import NIOHTTP1

extension RegistryClient {
    /// How a blob came to be in a repository.
    public enum UploadResult: Equatable, Sendable {
        case wasThere
        /// Taken over from another repository of the registry.
        case mounted
        case uploaded
    }

    /// Puts a blob into a repository, unless it is there; at most `settings.parallelTransfers` at a time.
    ///
    /// - Parameters:
    ///   - other: a repository of the same registry that may have it.
    ///   - progress: how many bytes are there; it may go back when a part has to be sent again.
    public func upload(
        _ blob: Descriptor, to reference: ImageReference, from source: any BlobSource,
        mountingFrom other: String? = nil,
        progress: @escaping @Sendable (UInt64) -> Void = { _ in }
    ) async throws(RegistryError) -> UploadResult {
        try await transfers.pass { () async throws(RegistryError) in
            try await self.origin(reference) { endpoint async throws(RegistryError) in
                let upload = BlobUpload(
                    client: self, blob: blob, reference: reference, endpoint: endpoint, source: source,
                    progress: progress)
                if try await self.hasBlob(blob.digest, reference, endpoint, Self.push(reference.repository)) {
                    progress(blob.sizeBytes)
                    return .wasThere
                }
                if let other, try await upload.mount(from: other) {
                    progress(blob.sizeBytes)
                    return .mounted
                }
                try await upload.send()
                return .uploaded
            }
        }
    }

    /// Takes a blob over from another repository of the same registry.
    /// - Returns: false when the registry does not do that, or has no such blob there.
    public func mount(
        _ digest: SHA256Digest, from other: String, to reference: ImageReference
    ) async throws(RegistryError) -> Bool {
        try await origin(reference) { endpoint async throws(RegistryError) in
            try await BlobUpload(
                client: self, blob: Descriptor(digest: digest, sizeBytes: 0), reference: reference, endpoint: endpoint,
                source: BlobBytesSource([]), progress: { _ in }
            ).mount(from: other)
        }
    }
}
