public import FileTrees

/// An OCI layout: a folder, or a tar of one, that holds images as blobs named by their digests.
///
/// It is read as a tree of files, wherever that came from.
/// Source: OCI image-spec, image-layout.md.
public struct OCILayout: OCIBlobs {
    private let files: FileTree

    /// Whether a tree of files is a layout.
    public static func isLayout(_ files: FileTree) -> Bool {
        files.lookup("/oci-layout") != nil && files.lookup("/index.json") != nil
    }

    public init(_ files: FileTree) throws(OCIError) {
        self.files = files
        struct Marker: Decodable { let imageLayoutVersion: String }
        let marker: Marker = try OCIDocuments.decode(try read("oci-layout"), "oci-layout")
        guard marker.imageLayoutVersion.hasPrefix("1.") else {
            throw .invalid("the OCI layout has the unknown version \"\(marker.imageLayoutVersion)\"")
        }
    }

    /// The image for a processor, out of those that the layout has.
    ///
    /// `reference` chooses by name where there are several.
    public func image(architecture: String, reference: String? = nil) throws(OCIError) -> OCIImage {
        try OCIImageReader(self).image(outOf: try candidates(reference), architecture: architecture)
    }

    /// Everything that the layout lists, or what has that name.
    func candidates(_ reference: String?) throws(OCIError) -> [OCIDocuments.Descriptor] {
        let index: OCIDocuments.Index = try OCIDocuments.decode(try read("index.json"), "index.json")
        guard let reference else { return index.manifests.filter { !$0.isSignatures } }
        let found = index.manifests.filter { $0.referenceName == reference || $0.containerdName == reference }
        guard !found.isEmpty else {
            throw .noSuchImage(
                "the layout has no image \"\(reference)\"; it has: \(OCIDocuments.names(index.manifests))")
        }
        return found
    }

    /// What signatures may take, of all images together, and how many documents.
    private static let mostSignatures = 4096
    private static let mostSignatureBytes: UInt64 = 16 << 20

    /// What the layout holds of signatures, each a manifest and what its layers hold, which nobody has looked at. What is no such
    /// thing, or is not there, is passed over: it signs nothing.
    func signatureDocuments() throws(OCIError) -> [[[UInt8]]] {
        let index: OCIDocuments.Index = try OCIDocuments.decode(try read("index.json"), "index.json")
        var documents: [[[UInt8]]] = []
        var (count, sizeBytes) = (0, 0 as UInt64)
        /// Nil for what is not there.
        func document(_ descriptor: OCIDocuments.Descriptor) throws(OCIError) -> [UInt8]? {
            guard let digest = try? descriptor.checkedDigest() else { return nil }
            let path = "blobs/sha256/" + digest.hex
            guard let content = try? content(path) else { return nil }
            (count, sizeBytes) = (count + 1, sizeBytes.addingReportingOverflow(content.sizeBytes).partialValue)
            guard count <= Self.mostSignatures, content.sizeBytes <= Self.mostSignatureBytes,
                sizeBytes <= Self.mostSignatureBytes
            else { throw .invalid("the layout has more signatures than \(Self.mostSignatures), or too long ones") }
            return try? OCIDocuments.read(content, path)
        }
        for descriptor in index.manifests where descriptor.isSignatures {
            guard let bytes = try document(descriptor),
                let manifest: OCIDocuments.Manifest = try? OCIDocuments.decode(bytes, "signatures")
            else { continue }
            var parts = [bytes]
            for layer in manifest.layers {
                if let bytes = try document(layer) { parts.append(bytes) }
            }
            documents.append(parts)
        }
        return documents
    }

    public func content(of blob: OCIBlob) throws(OCIError) -> FileContent {
        let path = "blobs/sha256/" + blob.digest.hex
        guard files.lookup("/" + path) != nil else { throw .absent(blob) }
        return try content(path)
    }

    private func content(_ path: String) throws(OCIError) -> FileContent {
        guard let node = files.lookup("/" + path), case .file(let content) = files[node].kind else {
            throw .invalid("the layout has no file \(path)")
        }
        return content
    }

    private func read(_ path: String) throws(OCIError) -> [UInt8] { try OCIDocuments.read(try content(path), path) }
}
