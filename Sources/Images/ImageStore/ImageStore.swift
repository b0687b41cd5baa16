/// The images of one user on this machine, by name and by digest.
///
/// Several processes may use one store at once. Nothing in it changes after it is written, except which names point where.
/// A process that dies at any moment leaves the store as it was before or after the operation.
public struct ImageStore: Sendable {
    /// The store's own folder; made when something is first written.
    public let root: String

    public init(root: String) { self.root = root }

    /// Makes an image of a folder, a tar (plain, gzip or zstd; `-` is standard input) or an OCI layout (a folder or a tar
    /// of one), and points `name` at it.
    ///
    /// An older image of that name loses it and is removed unless another name points to it.
    /// `progress` is called at most about ten times a second, on the calling thread.
    /// - Throws: with nothing left behind and the store as it was.
    @discardableResult
    public func importImage(
        from source: String, as name: String, settings: ImportSettings = ImportSettings(),
        progress: (ImportProgress) -> Void = { _ in }
    ) throws(ImageError) -> StoredImage {
        throw ImageError(.damagedStore, "importing is not there yet")
    }

    /// The image that a name means, or a digest (`sha256:…`), or the first four or more digits of one.
    public func resolve(_ reference: String) throws(ImageError) -> StoredImage {
        throw ImageError(
            .unknownImage, "no image is called \"\(reference)\"; `swiftlet image list` shows what there is")
    }

    /// Every image, those with names first, by name.
    public func list() throws(ImageError) -> [StoredImage] { [] }

    /// Takes a name away, and the image with it when no other name points there; a digest takes the image and all its
    /// names away. Running machines keep the disk that they have open.
    /// - Returns: the image as it was.
    @discardableResult
    public func remove(_ reference: String) throws(ImageError) -> StoredImage {
        throw ImageError(
            .unknownImage, "no image is called \"\(reference)\"; `swiftlet image list` shows what there is")
    }
}
