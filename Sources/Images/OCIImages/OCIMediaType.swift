/// The kinds of content that an image is made of.
///
/// Source: OCI image-spec, media-types.md; Docker image manifest version 2, schema 2.
public enum OCIMediaType {
    public static let manifest = "application/vnd.oci.image.manifest.v1+json"
    public static let index = "application/vnd.oci.image.index.v1+json"
    public static let configuration = "application/vnd.oci.image.config.v1+json"
    /// With `+gzip` or `+zstd` behind it for what is compressed so.
    public static let layer = "application/vnd.oci.image.layer.v1.tar"
    static let dockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json"

    public static func isIndex(_ mediaType: String) -> Bool { mediaType == index || mediaType == dockerIndex }
}
