import Fleet
import ImageStore
import OCIImages

/// An image, for programs: names that stay.
struct ImageDocument: Encodable {
    struct Layer: Encodable {
        var digest: String
        var mediaType: String
        var sizeBytes: UInt64
        var tarDigest: String
    }

    var names: [String]
    var digest: String
    var diskPaths: [String]
    /// The root hash of the disk's dm-verity tree, and how many blocks come before the tree.
    var diskDigest: String
    var dataBlockCount: UInt64
    var sizeBytes: UInt64
    var imported: String
    var configuration: ImageConfiguration
    /// From here on only where the image came as layers.
    var manifestDigest: String?
    var indexDigest: String?
    /// And where it is inspected.
    var manifestMediaType: String?
    var configurationDigest: String?
    var platform: String?
    var created: String?
    var author: String?
    /// The lowest first.
    var layers: [Layer]?
    /// Of all blobs: what a registry stores.
    var transferBytes: UInt64?
    /// The oldest first.
    var history: [HistoryDocument]?

    init(_ image: StoredImage) {
        names = image.names
        digest = image.digest
        diskPaths = image.diskPaths
        diskDigest = image.diskDigest
        dataBlockCount = image.dataBlockCount
        sizeBytes = image.sizeBytes
        imported = Timestamp.text(seconds: image.importedSeconds)
        configuration = image.configuration
        manifestDigest = image.manifest?.description
        indexDigest = image.blobs.first.flatMap { $0 == image.manifest ? nil : $0.description }
    }

    /// With everything that is known.
    init(inspecting image: StoredImage) throws {
        self.init(image)
        guard image.manifest != nil else { return }
        let parts = try ImageCommand.store.parts(of: image)
        manifestMediaType = parts.manifest.mediaType
        configurationDigest = parts.configuration.digest.description
        platform = parts.platform
        created = parts.created
        author = parts.author.isEmpty ? nil : parts.author
        layers = parts.layers.map {
            Layer(
                digest: $0.part.digest.description, mediaType: $0.part.mediaType, sizeBytes: $0.part.sizeBytes,
                tarDigest: $0.tarDigest.description)
        }
        transferBytes = parts.blobs.reduce(0) { $0 + $1.sizeBytes }
        history = parts.history.map(HistoryDocument.init)
    }
}

/// A step in which an image was built, for programs: names that stay.
struct HistoryDocument: Encodable {
    var created: String?
    var createdBy: String
    var comment: String?
    var author: String?
    /// Of the layer that the step made, as stored; zero where it made none, nothing where nobody can know.
    var sizeBytes: UInt64?
    var layerDigest: String?

    init(_ step: OCIImageParts.Step) {
        created = step.created
        createdBy = step.command
        comment = step.comment.isEmpty ? nil : step.comment
        author = step.author.isEmpty ? nil : step.author
        sizeBytes = step.isEmpty ? 0 : step.layer?.part.sizeBytes
        layerDigest = step.layer?.part.digest.description
    }
}
