import Archives
import ErofsFormat
import FileTrees
public import HostFiles
public import OCIImages

extension ImageError {
    /// A full disk has its own code wherever it is met.
    public init(_ error: HostFileError, in code: Code) {
        if error.isDiskFull {
            self.init(
                .diskFull,
                "the disk that holds \(error.path) is full; nothing was changed. Make room, or let SWIFTLET_HOME name "
                    + "a folder on a larger disk")
        } else {
            self.init(code, error.description)
        }
    }

    init(_ error: FileTreeError, source: String) {
        switch error {
        case .host(let error): self.init(error, in: .unreadableSource)
        case .archive(.host(let error)): self.init(error, in: .unreadableSource)
        case .changedWhileReading: self.init(.unreadableSource, error.description)
        default: self.init(.invalidSource, "cannot import \(source): \(error)")
        }
    }

    init(_ error: ErofsError, source: String) {
        switch error {
        case .content(let error): self.init(error, source: source)
        case .host(let error): self.init(error, in: .damagedStore)
        case .tooLarge, .unpacked: self.init(.invalidSource, "cannot import \(source): \(error)")
        }
    }

    public init(_ error: OCIError, source: String) {
        switch error {
        case .files(let error): self.init(error, source: source)
        case .blob(_, .host(let error)): self.init(error, in: .unreadableSource)
        default: self.init(.invalidSource, "cannot import \(source): \(error)")
        }
    }
}
