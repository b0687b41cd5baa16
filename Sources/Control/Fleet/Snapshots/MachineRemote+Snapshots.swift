import AgentClient
import Glibc
import HostFiles
import ImageStore
import LinuxCalls

/// Snapshots of a machine that runs.
extension MachineRemote {
    /// How long the guest may take to stop its programs.
    private static let holdMilliseconds: UInt32 = 5000

    /// Has the machine's programs stop and the machine stand still, writes it down, and lets it go on.
    /// - Parameters:
    ///   - name: nil for the machine's own and a number.
    ///   - ends: whether the machine is ended instead, from exactly where the snapshot stands.
    /// - Throws: leaving the machine running and no snapshot.
    public func makeSnapshot(_ name: String?, ends: Bool = false) throws -> SnapshotRecord {
        let snapshots = SnapshotStore(store.paths)
        if let name {
            try SnapshotStore.check(name: name)
            try snapshots.checkFree(name)
        }
        try checkSuitable()
        snapshots.removeLeftovers()
        return try withControlLock { () throws(any Error) in
            try checkRunsProgram()
            if store.hasPauseMark(record) {
                throw FleetError(
                    .paused,
                    "the machine \"\(record.name)\" is paused; let it go on first: swiftlet resume \(record.name)")
            }
            let source = store.folder(record.id).appending(OwnedMachine.controlFolder)
            defer {
                for file in [SnapshotRecord.stateName, SnapshotRecord.memoryName] {
                    try? source.appending(file).removeFile()
                }
            }
            // Whoever goes on from the snapshot finds the programs held, and makes the machine another one before they go on.
            let agent = try connect()
            defer { try? agent.release() }
            try agent.hold(patienceMilliseconds: Self.holdMilliseconds)
            try write()
            do {
                let made = try snapshots.take(draft(name ?? freeName(snapshots)), from: source)
                do throws(ImageError) {
                    try MachineFleet(store.paths).images.hold(
                        [made.specification.imageDigest], for: made.id, in: snapshots.path(made))
                } catch {
                    try? snapshots.remove(made.id)
                    throw error
                }
                if ends { try kill() } else { try goOn() }
                return made
            } catch {
                try? goOn()
                throw error
            }
        }
    }

    /// The machine stands still afterwards.
    private func write() throws(FleetError) {
        try standStill()
        do throws(FleetError) {
            try control.writeSnapshot(state: SnapshotRecord.stateName, memory: SnapshotRecord.memoryName)
        } catch {
            try? goOn()
            throw error
        }
    }

    private func draft(_ name: String) -> SnapshotRecord {
        var generator = SystemRandomNumberGenerator()
        return SnapshotRecord(
            id: MachineNames.identifier(using: &generator), name: name,
            createdSeconds: Int64(Clock.realTime.nanoseconds() / 1_000_000_000), machineID: record.id,
            machineName: record.name, specification: record.specification, stateBytes: 0, memoryBytes: 0)
    }

    private func freeName(_ snapshots: SnapshotStore) -> String {
        let taken = Set(snapshots.list().map(\.name))
        var number = 1
        while taken.contains("\(record.name.prefix(50))-\(number)") { number += 1 }
        return "\(record.name.prefix(50))-\(number)"
    }

    /// What lies outside of a machine is not in its snapshot: who goes on from it finds something else there than was there
    /// before, and a file system in use does not survive that.
    private func checkSuitable() throws(SnapshotError) {
        let specification = record.specification
        let what: String?
        if let folder = specification.container.folders.first {
            what = "it has the shared folder \(folder.path), whose open files are this computer's"
        } else if let volume = specification.container.volumes.first(where: { !$0.isReadOnly }) {
            what = "it writes to the volume \"\(volume.name)\", which would go on without the snapshot"
        } else if let disk = specification.disks.first(where: { !$0.isReadOnly }) {
            what = "it writes to the disk \(disk.path), which would go on without the snapshot"
        } else {
            what = nil
        }
        guard let what else { return }
        throw SnapshotError(
            .unsuitableMachine,
            "no snapshot can be made of the machine \"\(record.name)\": \(what); run it without, or with that read-only"
        )
    }
}
