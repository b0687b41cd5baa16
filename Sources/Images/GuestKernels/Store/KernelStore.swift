import HostFiles

/// The guest kernels of one user on this machine, each kept by digest.
///
/// A kernel never changes after it is put here. Several processes may use one store at once; a process that dies at any
/// moment leaves the store as it was before or after the operation.
///
/// Layout: one folder for each kernel, named by the 64 digits of its digest, with `vmlinux`, `record.json` and, where there
/// are modules, `modules.cpio`; `default`, which holds such a name; `.lock`, held while any of these changes; and folders
/// whose names begin with `.incoming-`, each locked by whoever fills it.
///
/// A *reference* is a name (the newest of that name is meant), a version (likewise), or the first four or more digits of a
/// digest.
public struct KernelStore: Sendable {
    /// The store's own folder; made when something is first written.
    public let root: String

    public init(root: String) { self.root = root }

    var folder: HostPath { HostPath(root) }
    var defaultFile: HostPath { folder.appending("default") }

    static let kernelFile = "vmlinux"
    static let modulesFile = "modules.cpio"
    static let recordFile = "record.json"
    static let incomingPrefix = ".incoming-"

    /// A digest's name as a folder in this store.
    func folder(of digits: String) -> HostPath { folder.appending(digits) }
}

/// Runs `body` and turns what a file operation says into this module's words.
func storing<R: ~Copyable>(_ body: () throws(HostFileError) -> R) throws(KernelError) -> R {
    do {
        return try body()
    } catch {
        if error.isDiskFull {
            throw KernelError(.diskFull, "the disk is full: \(error); make room, nothing was changed")
        }
        throw KernelError(.damagedStore, "\(error); check that the folder is there and that you may use it")
    }
}
