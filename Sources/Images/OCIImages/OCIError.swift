public import Archives
public import FileTrees

/// Why an OCI layout could not be read.
public enum OCIError: Error, Equatable, Sendable {
    /// Files of the layout, or a layer's content.
    case files(FileTreeError)
    /// A blob, named by its digest, that is not what it should be.
    case blob(String, ArchiveError)
    /// A blob that is not there.
    case absent(OCIBlob)
    /// A document that is missing, damaged or of an unknown kind.
    case invalid(String)
    /// None of the layout's images is wanted, or more than one.
    case noSuchImage(String)
}

extension OCIError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .files(let error): error.description
        case .blob(let digest, let error): "the blob \(digest): \(error)"
        case .absent(let blob): "the blob \(blob.digest) is not there"
        case .invalid(let what), .noSuchImage(let what): what
        }
    }
}
