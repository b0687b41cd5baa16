public import Archives
import HostFiles

/// Signatures that came with an image, as blobs beside its own. What they say, and whether they are right, is not known here.
public struct StoredSignatures: Equatable, Sendable {
    /// The manifest or index that they are of.
    public let subject: SHA256Digest
    public let documents: [SHA256Digest]

    init?(_ signed: StoreDocuments.Signed) {
        guard let subject = SHA256Digest(description: signed.subject) else { return nil }
        self.subject = subject
        documents = signed.documents.compactMap { SHA256Digest(description: $0) }
    }
}

extension ImageStore {
    /// Of how many indexes and manifests an image keeps signatures; the oldest go first.
    static let mostSubjects = 16
    /// The longest document that is kept of signatures.
    static let mostSignatureBytes = 1 << 20

    /// Keeps documents with an image for as long as it stays, in place of those that it has of the same subject.
    ///
    /// A death at any moment leaves the image with those that it had.
    @discardableResult
    public func keepSignatures(
        _ documents: [[UInt8]], of subject: SHA256Digest, with image: StoredImage
    ) throws(ImageError) -> StoredImage {
        let lease = try BlobLease(self)
        var digests: [SHA256Digest] = []
        for document in documents { digests.append(try keep(document, lease)) }
        return try whileLocked { () throws(ImageError) in
            let index = try index()
            let digest = try self.digest(of: image.digest, in: index)
            var record: StoreDocuments.Record = try StoreDocuments.decode(folders.record(digest))
            let signed = StoreDocuments.Signed(subject: "\(subject)", documents: digests.map(\.description))
            let others = (record.signatures ?? []).filter { $0.subject != signed.subject }
            record.signatures = others.suffix(Self.mostSubjects - 1) + [signed]
            let bytes = try StoreDocuments.encode(record)
            do throws(HostFileError) { try folders.record(digest).replaceWhole(bytes) } catch {
                throw ImageError(error, in: .damagedStore)
            }
            return try self.image(digest, index)
        }
    }

    /// A document that came with an image's signatures.
    public func signatureDocument(_ digest: SHA256Digest) throws(ImageError) -> [UInt8] {
        do { return try folders.blob(digest).readWhole(limit: Self.mostSignatureBytes) } catch {
            throw ImageError(error, in: .damagedStore)
        }
    }
}
