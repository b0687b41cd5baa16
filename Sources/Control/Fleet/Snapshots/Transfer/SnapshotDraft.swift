import HostFiles
import LinuxCalls

/// A snapshot that is being put together: a folder that nobody lists, gone with this unless it was published. What a process
/// leaves that is killed is known by its lock, which nobody holds, and goes with the next command.
public final class SnapshotDraft {
    public let id: String
    public let folder: HostPath
    private let store: SnapshotStore
    private let lock: MachineLock
    private var isPublished = false

    init(_ store: SnapshotStore) throws(SnapshotError) {
        self.store = store
        store.removeLeftovers()
        var generator = SystemRandomNumberGenerator()
        id = MachineNames.identifier(using: &generator)
        let folder = store.draftFolder(id)
        self.folder = folder
        try snapshotFiles { () throws(HostFileError) in try folder.makeFolders(mode: 0o700) }
        do throws(LinuxError) {
            guard let taken = try MachineLock.take(in: folder, creates: true) else { throw LinuxError.invalidArgument }
            lock = taken
        } catch {
            MachineStore.removeFiles(in: folder)
            throw SnapshotError(.unusableFolder, "cannot lock \(folder): \(error)")
        }
    }

    deinit { if !isPublished { MachineStore.removeFiles(in: folder) } }

    /// Lists it, with the files that lie in its folder.
    func publish(_ record: SnapshotRecord) throws(SnapshotError) {
        try snapshotFiles { () throws(HostFileError) in
            // A snapshot outlives a power loss.
            for name in record.fileNames { try HostFile(folder.appending(name)).synchronize() }
        }
        try record.write(to: folder)
        // A folder without it is left alone for an hour.
        try snapshotFiles { () throws(HostFileError) in try folder.appending(MachineLock.fileName).removeFile() }
        try store.publish(record, folder)
        isPublished = true
    }
}
