import HostFiles

/// Files of the store that are being written: each is locked for as long as it is open, and those that got no place in the store
/// go when this goes, or with the next command that changes something.
final class StoreScratch {
    private let store: ImageStore
    private let prefix = StoreFolders.work + "\(processID())-\(UInt64.random(in: 0...UInt64.max))."
    private var names: Set<String> = []

    /// Makes room first: what a killed command left may be what fills the disk.
    init(_ store: ImageStore) throws(ImageError) {
        self.store = store
        try store.makeRoom()
    }

    deinit { for name in names { try? path(name).removeFile() } }

    func path(_ name: String) -> HostPath { store.folders.temporary.appending(prefix + name) }

    /// A new file.
    func make(_ name: String) throws(ImageError) -> HostFile {
        let path = path(name)
        let file = try store.whileLocked { () throws(ImageError) in try store.lockedFile(path) }
        names.insert(name)
        return file
    }
}
