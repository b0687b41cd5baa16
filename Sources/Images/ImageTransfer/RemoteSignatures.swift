public import Archives
import HostFiles
public import Registry
public import Signatures

/// The signatures of an image, beside it in its repository, as cosign keeps them.
public struct RemoteSignatures: Sendable {
    private let client: RegistryClient
    private let reference: ImageReference

    public init(of reference: ImageReference, at client: RegistryClient) {
        self.client = client
        self.reference = reference
    }

    /// Every signature of a manifest; none where there are none.
    public func all(of digest: SHA256Digest) async throws -> [ImageSignature] {
        guard let manifest = try await manifest(digest) else { return [] }
        var signatures: [ImageSignature] = []
        for entry in try SignatureManifest(parsing: manifest).entries {
            let payload = BlobMemory()
            try await client.download(
                Descriptor(digest: entry.payloadDigest, sizeBytes: entry.payloadBytes), of: reference, to: payload)
            signatures.append(ImageSignature(payload: payload.bytes, signature: entry.signature))
        }
        return signatures
    }

    private func manifest(_ digest: SHA256Digest) async throws(RegistryError) -> [UInt8]? {
        do throws(RegistryError) {
            return try await client.manifest(try reference.tagged(SignatureManifest.tag(of: digest))).bytes
        } catch  where error.code == .notFound {
            return nil
        }
    }

    /// Adds a signature to those that are there. One with the same words by the same key takes the other's place.
    public func add(_ signature: ImageSignature, by key: VerifyingKey, to digest: SHA256Digest) async throws {
        var signatures = try await all(of: digest).filter {
            $0.payload != signature.payload || !key.verifies($0.signature, of: $0.payload)
        }
        signatures.append(signature)
        let (manifest, configuration) = SignatureManifest.document(of: signatures)
        for blob in Set(signatures.map(\.payload) + [configuration]) {
            let descriptor = Descriptor(digest: SHA256.digest(of: blob), sizeBytes: UInt64(blob.count))
            _ = try await client.upload(descriptor, to: reference, from: BlobBytesSource(blob))
        }
        try await client.push(
            manifest: manifest, mediaType: "application/vnd.oci.image.manifest.v1+json",
            to: try reference.tagged(SignatureManifest.tag(of: digest)))
    }

    /// Asks a policy whether the image with that manifest may be run; signatures are fetched only if it wants any.
    public func judge(_ digest: SHA256Digest, by policy: SignaturePolicy) async throws -> SignaturePolicy.Verdict {
        let signatures = policy.wantsSignatures(of: reference.name) ? try await all(of: digest) : []
        return try policy.judge(digest, named: reference.name, signatures: signatures)
    }

    /// The signatures of an image that a policy lets in, to be kept with it: a policy that comes later may want them.
    ///
    /// - Returns: none where nobody wants any now and the registry does not hand them out as it should.
    func admitted(_ digest: SHA256Digest, by policy: SignaturePolicy?) async throws -> [ImageSignature] {
        guard let policy, policy.wantsSignatures(of: reference.name) else {
            _ = try policy?.judge(digest, named: reference.name, signatures: [])
            return (try? await all(of: digest)) ?? []
        }
        let signatures = try await all(of: digest)
        _ = try policy.judge(digest, named: reference.name, signatures: signatures)
        return signatures
    }
}
