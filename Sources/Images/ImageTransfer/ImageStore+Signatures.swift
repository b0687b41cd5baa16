public import Archives
public import ImageStore
public import OCIImages
public import Signatures

/// Signatures of images that are here: those that were beside them where they came from.
extension ImageStore {
    /// Keeps signatures with an image, in the form in which registries have them.
    @discardableResult
    public func keep(
        _ signatures: [ImageSignature], of subject: SHA256Digest, with image: StoredImage
    ) throws(ImageError) -> StoredImage {
        guard !signatures.isEmpty else { return image }
        let manifest = SignatureManifest.document(of: signatures).manifest
        return try keepSignatures([manifest] + signatures.map(\.payload), of: subject, with: image)
    }

    /// The signatures that came with an image, a list for each thing signed.
    public func signatures(of image: StoredImage) throws -> [[ImageSignature]] {
        try image.signatures.map { try signatures($0) }
    }

    func signatures(_ stored: StoredSignatures) throws -> [ImageSignature] {
        guard let manifest = stored.documents.first else { return [] }
        return try SignatureManifest(parsing: try signatureDocument(manifest)).entries.map {
            ImageSignature(payload: try signatureDocument($0.payloadDigest), signature: $0.signature)
        }
    }

    /// Asks a policy whether an image that is here may be run under a name, by the signatures that came with it.
    ///
    /// They may be of its manifest or of an index that has led to it; one of these that is signed as the policy wants is enough.
    /// - Throws: as `SignaturePolicy.judge`.
    public func judge(
        _ image: StoredImage, named reference: String, by policy: SignaturePolicy
    ) throws -> SignaturePolicy.Verdict {
        let subject = image.subject ?? SHA256Digest(description: image.digest) ?? SHA256.digest(of: [])
        guard policy.wantsSignatures(of: reference) else {
            return try policy.judge(subject, named: reference, signatures: [])
        }
        var refusal: (any Error)?
        for stored in image.signatures.reversed() {
            do { return try policy.judge(stored.subject, named: reference, signatures: try signatures(stored)) } catch {
                refusal = refusal ?? error
            }
        }
        if let refusal { throw refusal }
        return try policy.judge(subject, named: reference, signatures: [])
    }
}

extension ArchivedImage {
    /// The signatures that came in the archive, by what they are of, as far as that leads to this image. What is no signature is
    /// passed over.
    ///
    /// Trust: none. Nobody has verified them; a policy does.
    public var signatures: [(subject: SHA256Digest, signatures: [ImageSignature])] {
        var found: [SHA256Digest: [ImageSignature]] = [:]
        for documents in signatureDocuments {
            guard let first = documents.first, let manifest = try? SignatureManifest(parsing: first) else { continue }
            let payloads = documents.dropFirst().map { (SHA256.digest(of: $0), $0) }
            for entry in manifest.entries {
                guard let bytes = payloads.first(where: { $0.0 == entry.payloadDigest })?.1,
                    let payload = try? SimpleSigningPayload(parsing: bytes)
                else { continue }
                let signature = ImageSignature(payload: bytes, signature: entry.signature)
                if found[payload.digest, default: []].count < SignatureManifest.maximumEntries {
                    found[payload.digest, default: []].append(signature)
                }
            }
        }
        // The top comes first, as where it is pulled.
        var subjects: [SHA256Digest] = []
        for digest in companions + [image.manifestDigest] where !subjects.contains(digest) { subjects.append(digest) }
        return subjects.compactMap { subject in found[subject].map { (subject, $0) } }
    }

    /// Asks a policy whether the image may come from the archive under a name, by the signatures beside it there.
    /// - Throws: as `SignaturePolicy.judge`.
    public func judge(named reference: String, by policy: SignaturePolicy) throws -> SignaturePolicy.Verdict {
        var refusal: SignatureError?
        for (subject, signatures) in signatures {
            do throws(SignatureError) {
                return try policy.judge(subject, named: reference, signatures: signatures)
            } catch {
                refusal = refusal ?? error
            }
        }
        if let refusal { throw refusal }
        return try policy.judge(image.manifestDigest, named: reference, signatures: [])
    }
}
