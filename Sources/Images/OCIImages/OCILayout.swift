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
        guard let reference else { return index.manifests }
        let found = index.manifests.filter { $0.referenceName == reference || $0.containerdName == reference }
        guard !found.isEmpty else {
            throw .noSuchImage(
                "the layout has no image \"\(reference)\"; it has: \(OCIDocuments.names(index.manifests))")
        }
        return found
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
