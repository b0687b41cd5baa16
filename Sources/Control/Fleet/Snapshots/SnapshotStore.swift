import CLinux
import Glibc
import HostFiles
import LinuxCalls

/// Every snapshot of one user: a folder each, with a record, a state file and a memory file.
///
/// A folder gets its name when all of it is there; what a command that was killed has left begins with a dot, and goes when
/// the next snapshot is made.
public struct SnapshotStore: Sendable {
    private let root: HostPath

    public init(_ paths: ProductPaths) { root = HostPath(paths.data).appending("snapshots") }

    func folder(_ id: String) -> HostPath { root.appending(id) }
    func draftFolder(_ id: String) -> HostPath { root.appending(".new-\(id)") }
    public func path(_ record: SnapshotRecord) -> String { folder(record.id).description }

    /// Every snapshot, the newest first.
    public func list() -> [SnapshotRecord] {
        ((try? root.folderNames()) ?? []).map { String(decoding: $0, as: UTF8.self) }.filter { !$0.hasPrefix(".") }
            .compactMap { SnapshotRecord.read(from: folder($0)) }
            .sorted { ($0.createdSeconds, $0.id) > ($1.createdSeconds, $1.id) }
    }

    /// Bytes that a snapshot takes on this computer.
    public func usedBytes(_ record: SnapshotRecord) -> UInt64 {
        record.fileNames.reduce(0) { sum, name in
            sum + ((try? folder(record.id).appending(name).status().allocatedBytes) ?? 0)
        }
    }

    /// The snapshot that a name, an id or the first digits of one mean.
    public func find(_ reference: String) throws(SnapshotError) -> SnapshotRecord {
        let all = list()
        if let named = all.first(where: { $0.name == reference }) { return named }
        let isHexadecimal = reference.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        let matches = isHexadecimal && reference.utf8.count >= 3 ? all.filter { $0.id.hasPrefix(reference) } : []
        if matches.count > 1 {
            throw SnapshotError(
                .ambiguous, "\"\(reference)\" could be any of \(matches.map(\.id).joined(separator: ", "))")
        }
        guard let match = matches.first else {
            throw SnapshotError(
                .unknown, "no snapshot is called \"\(reference)\"; `swiftlet snapshot ls` shows what there is")
        }
        return match
    }

    /// Removes a snapshot. Who has its memory open keeps it.
    public func remove(_ reference: String) throws(SnapshotError) {
        let record = try find(reference)
        // What has a dot before it is listed no more, whatever becomes of this process.
        let gone = root.appending(".gone-\(record.id)")
        try snapshotFiles { () throws(HostFileError) in try folder(record.id).rename(to: gone) }
        MachineStore.removeFiles(in: gone)
    }

    public static func check(name: String) throws(SnapshotError) {
        do throws(FleetError) { try MachineNames.check(name) } catch {
            throw SnapshotError(
                .invalidName,
                "\"\(name)\" cannot name a snapshot; use letters, digits, \".\", \"_\" and \"-\", at most 63, beginning with a letter or digit"
            )
        }
    }

    /// Whether a name is free; asked before a machine is held up for nothing.
    func checkFree(_ name: String) throws(SnapshotError) {
        if list().contains(where: { $0.name == name }) {
            throw SnapshotError(
                .duplicateName,
                "a snapshot is called \"\(name)\" already; choose another name, or remove it: swiftlet snapshot rm \(name)"
            )
        }
    }

    /// Takes over the files that a monitor has written into `source`, and the copies of disks that lie beside them, and
    /// lists them as a snapshot.
    func take(_ draft: SnapshotRecord, from source: HostPath) throws(SnapshotError) -> SnapshotRecord {
        let (record, place) = try gather(draft, from: source)
        return try list(record, in: place)
    }

    /// Lists what was gathered.
    /// - Parameter isChecked: whether its memory gets a hash tree first.
    func list(
        _ gathered: SnapshotRecord, in place: HostPath, isChecked: Bool = false
    ) throws(SnapshotError) -> SnapshotRecord {
        var record = gathered
        do throws(SnapshotError) {
            if isChecked {
                record.memoryRoot = try snapshotFiles { () throws(HostFileError) in
                    try MemoryTree.write(
                        of: place.appending(SnapshotRecord.memoryName), to: place.appending(MemoryTree.fileName)
                    ).hex
                }
            }
            try snapshotFiles { () throws(HostFileError) in
                // A snapshot outlives a power loss.
                for name in record.fileNames { try HostFile(place.appending(name)).synchronize() }
            }
            try record.write(to: place)
            try publish(record, place)
            return record
        } catch {
            MachineStore.removeFiles(in: place)
            throw error
        }
    }

    /// Takes the files over into a folder that nobody lists, for whoever makes clones of them and removes it.
    func gather(
        _ draft: SnapshotRecord, from source: HostPath
    ) throws(SnapshotError) -> (record: SnapshotRecord, folder: HostPath) {
        var record = draft
        let place = draftFolder(record.id)
        try snapshotFiles { () throws(HostFileError) in try place.makeFolders(mode: 0o700) }
        do throws(HostFileError) {
            for name in record.fileNames {
                let file = place.appending(name)
                try source.appending(name).rename(to: file)
                let size = try file.status().sizeBytes
                if name == SnapshotRecord.stateName { record.stateBytes = size }
                if name == SnapshotRecord.memoryName { record.memoryBytes = size }
            }
        } catch {
            MachineStore.removeFiles(in: place)
            throw SnapshotError(error)
        }
        return (record, place)
    }

    /// Removes what a snapshot that was not finished has left.
    static func removeUnfinished(in folder: HostPath) {
        for name in ((try? folder.folderNames()) ?? []) where name != Array(MachineLock.fileName.utf8) {
            try? folder.appending(name).removeFile()
        }
    }

    /// A machine's name and the first number that is free.
    func freeName(for machine: String) -> String {
        let taken = Set(list().map(\.name))
        var number = 1
        while taken.contains("\(machine.prefix(50))-\(number)") { number += 1 }
        return "\(machine.prefix(50))-\(number)"
    }

    /// Gives a machine the files of a snapshot, which then may go.
    /// - Parameter folder: where they are.
    static func hand(
        _ record: SnapshotRecord, in folder: HostPath, to machine: HostPath
    ) throws(SnapshotError) {
        var names = [
            (SnapshotRecord.stateName, SnapshotOrigin.stateName),
            (SnapshotRecord.memoryName, SnapshotOrigin.memoryName),
        ]
        if record.memoryRoot != nil { names.append((MemoryTree.fileName, SnapshotOrigin.treeName)) }
        names += record.disks.map { ($0.fileName, SnapshotOrigin.diskName($0.place)) }
        do throws(HostFileError) {
            for (name, own) in names { try folder.appending(name).link(as: machine.appending(own)) }
        } catch {
            guard error.isAbsent || error.isMissing else { throw SnapshotError(error) }
            throw SnapshotError(
                .damaged,
                "files of the snapshot \"\(record.name)\" are missing: it was removed at this moment, or damaged (\(folder))"
            )
        }
    }

    /// One at a time, so that two never get one name.
    func publish(_ record: SnapshotRecord, _ place: HostPath) throws(SnapshotError) {
        let lock = try self.lock()
        try checkFree(record.name)
        try snapshotFiles { () throws(HostFileError) in
            try place.rename(to: folder(record.id))
            try root.synchronizeFolder()
        }
        extendLifetime(lock)
    }

    private func lock() throws(SnapshotError) -> FileDescriptor {
        let path = root.appending(".lock").description
        do throws(LinuxError) {
            let file = try open(path, [.readWrite, .create], mode: 0o600)
            // LOCK_EX. SAFETY: no address is passed.
            unsafe try systemCallRestarting(__NR_flock, Int(file.number), 2)
            return file
        } catch {
            throw SnapshotError(error.number == ENOSPC ? .diskFull : .unusableFolder, "cannot lock \(path): \(error)")
        }
    }

    /// What killed commands left: what nobody holds the lock of and, of what has none, what is an hour old, for nobody needs that
    /// long between the two names of a folder.
    public func removeLeftovers() {
        let now = Int64(Clock.realTime.nanoseconds() / 1_000_000_000)
        for name in ((try? root.folderNames()) ?? []).map({ String(decoding: $0, as: UTF8.self) }) {
            guard name.hasPrefix(".gone-") || name.hasPrefix(".new-") else { continue }
            let left = root.appending(name)
            let isLocked = left.appending(MachineLock.fileName).exists
            if isLocked, MachineLock.isHeld(in: left) { continue }
            guard let status = try? left.status(),
                name.hasPrefix(".gone-") || isLocked || now - status.modifiedSeconds > 3600
            else { continue }
            MachineStore.removeFiles(in: left)
        }
    }
}
