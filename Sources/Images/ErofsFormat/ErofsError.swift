public import FileTrees
public import HostFiles

/// Why a disk could not be written.
public enum ErofsError: Error, Equatable, Sendable {
    /// The content of a file could not be read.
    case content(FileTreeError)
    /// The disk's file could not be written or read back.
    case host(HostFileError)
    /// More than the format, or our own bound, has room for.
    case tooLarge(String)
    /// A file of the tree was not put into a segment before.
    case unpacked
}

extension ErofsError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .content(let error): error.description
        case .host(let error): error.description
        case .tooLarge(let what): what
        case .unpacked: "a file's content was not put into a segment"
        }
    }
}
