import HostFiles

/// What a machine goes on from when it begins, in the place of a boot: two files in its own folder.
struct RestorePoint: Sendable {
    let state: String
    let memory: String
    /// The memory's hash tree, and its root; nil where pages are not checked.
    var tree: (name: String, root: String)?
    /// Whether the machine's program ran when they were written; otherwise it is started now.
    let runsProgram: Bool
    /// Whether the machine is another one than the one that was written down.
    let isClone: Bool
}

/// The snapshot that a machine is a clone of. The machine has files of its own, so the snapshot may go.
public struct SnapshotOrigin: Codable, Equatable, Sendable {
    public var id: String
    public var name: String
    public var runsProgram: Bool
    /// The machine's disks that it writes to, by their places, with the sizes that the snapshot has of them.
    var disks: [SnapshotDisk]
    /// As the snapshot's.
    var memoryRoot: String?
    /// The devices that had been attached; their interfaces without what is each machine's own. Nil: none.
    var attachments: [DeviceAttachment]?

    static let stateName = "origin.state"
    static let memoryName = "origin.memory"
    static let treeName = "origin.memory.tree"

    /// In the machine's folder: a disk as it was when the snapshot was taken, and as it is now.
    static func diskName(_ place: Int) -> String { "origin.disk\(place)" }
    static func ownDiskName(_ place: Int) -> String { "disk\(place)" }
}

extension MachineStore {
    /// Nil for a machine that boots.
    func restorePoint(of record: MachineRecord) -> RestorePoint? {
        if isSuspended(record) {
            return RestorePoint(
                state: Suspension.stateName, memory: Suspension.memoryName, runsProgram: true, isClone: false)
        }
        return record.specification.origin.map { origin in
            RestorePoint(
                state: SnapshotOrigin.stateName, memory: SnapshotOrigin.memoryName,
                tree: origin.memoryRoot.map { (SnapshotOrigin.treeName, $0) }, runsProgram: origin.runsProgram,
                isClone: true)
        }
    }

    /// Whether a machine is to go on from where it was suspended.
    func isSuspended(_ record: MachineRecord) -> Bool { folder(record.id).appending(Suspension.fileName).exists }

    /// Has a suspended machine begin anew when it begins.
    public func discardSuspension(of record: MachineRecord) throws(FleetError) {
        guard let machine = try reopen(record) else {
            throw FleetError(.stillRunning, "the machine \"\(record.name)\" runs; nothing of it is suspended")
        }
        Suspension.remove(from: machine.folder)
    }

    /// Takes a machine off the list that nobody runs, and perhaps nobody has run.
    public func forget(_ machine: OwnedMachine) {
        // What its owner has written down is newer.
        removeRuntimeFiles(MachineRecord.read(from: machine.folder) ?? machine.record)
        removeFolder(machine.record)
    }
}

extension OwnedMachine {
    var restorePoint: RestorePoint? { store.restorePoint(of: record) }

    /// Makes the machine's disks what its memory takes them for, before it goes on.
    /// - Throws: when the disks of one that was suspended are not what they were.
    func prepareDisks(for point: RestorePoint) throws(FleetError) {
        guard point.isClone else {
            return try Suspension.read(from: folder).check(record)
        }
        for disk in record.specification.origin?.disks ?? [] {
            try files { () throws(HostFileError) in
                try DiskCopy.copy(
                    folder.appending(SnapshotOrigin.diskName(disk.place)),
                    over: folder.appending(SnapshotOrigin.ownDiskName(disk.place)))
            }
        }
    }
}
