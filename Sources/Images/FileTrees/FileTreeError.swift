public import Archives
public import HostFiles

/// Why a tree of files could not be put together.
public enum FileTreeError: Error, Equatable, Sendable {
    /// The archive itself could not be read.
    case archive(ArchiveError)
    /// The host could not read a folder or a file, or write the scratch file.
    case host(HostFileError)
    /// An entry that no tree can hold: which, and why.
    case invalidEntry(String, String)
    /// A bound of ours that would be passed.
    case overBound(String)
    /// A file that was not the same at the end as at the beginning.
    case changedWhileReading(HostPath)
}

extension FileTreeError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .archive(let error): error.description
        case .host(let error): error.description
        case .invalidEntry(let path, let why): "the entry \(path) \(why)"
        case .overBound(let what): what
        case .changedWhileReading(let path): "\(path) was changed while it was read; try again when nobody writes to it"
        }
    }

    static func invalidEntry(_ path: [UInt8], _ why: String) -> FileTreeError { .invalidEntry(shown(path), why) }
}
