import Archives
import OCIImages

/// What an image from a registry came as.
struct ImageOrigin {
    let manifest: SHA256Digest
    /// Indexes, manifest, configuration and layers: all that is wanted to hand the image on as it came.
    let blobs: [SHA256Digest]

    init(_ image: OCIImage, indexes: [SHA256Digest]) {
        manifest = image.manifestDigest
        blobs = indexes + [image.manifestDigest, image.configurationDigest] + image.layers.map(\.digest)
    }
}
