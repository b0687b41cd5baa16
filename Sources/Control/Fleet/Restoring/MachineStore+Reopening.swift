import Glibc
import HostFiles
import LinuxCalls

extension MachineStore {
    /// Takes a machine that has ended, to run it again; nil when it runs. The caller owns it from then on, and nothing is
    /// written down yet.
    func reopen(_ record: MachineRecord) throws(FleetError) -> OwnedMachine? {
        try checkTrusted()
        let lock: MachineLock?
        do throws(LinuxError) { lock = try lockOnceOver(record.id) } catch {
            if error.number == ENOENT { throw Self.removed(record) }
            throw FleetError(.unusableFolder, "cannot use \(folder(record.id)): \(error)")
        }
        guard let lock else { return nil }
        // It may have been run, or removed, between the two.
        guard let present = MachineRecord.read(from: folder(record.id)) else { throw Self.removed(record) }
        return OwnedMachine(store: self, record: present, lock: lock)
    }

    static func removed(_ record: MachineRecord) -> FleetError {
        FleetError(.unknownMachine, "the machine \"\(record.name)\" has been removed meanwhile")
    }

    /// A record names files and disks, which are opened with this user's rights. So it must be this user who wrote it.
    public func checkTrusted() throws(FleetError) {
        let path = HostPath(paths.machines)
        let status: FileStatus
        do throws(HostFileError) { status = try path.status() } catch {
            if error.isAbsent { return }
            throw FleetError(.unusableFolder, "\(error)")
        }
        guard status.userID == geteuid(), status.mode & 0o022 == 0 else {
            throw FleetError(
                .unusableFolder,
                "others can write to \(path), and what is written there decides which disks and files a machine gets; machines are begun again only from a folder that is this user's alone (chown, chmod go-w)"
            )
        }
    }

    private func comingBack(_ record: MachineRecord) -> HostPath { folder(record.id).appending("until-restore") }

    /// Writes down that the stop which follows is not the machine's end in the eyes of its restart policy.
    func markComingBack(_ record: MachineRecord) throws(FleetError) {
        try files { () throws(HostFileError) in try comingBack(record).replaceWhole([], mode: 0o600) }
    }

    func comesBack(_ record: MachineRecord) -> Bool { comingBack(record).exists }

    func clearComingBack(_ record: MachineRecord) { try? comingBack(record).removeFile() }

    /// Writes down, of a machine whose owner had to be killed, that somebody wanted that.
    func noteStop(of record: MachineRecord) {
        guard let machine = try? reopen(record), !comesBack(record) else { return }
        try? machine.update { $0.isStopped = true }
    }
}

extension OwnedMachine {
    /// Writes down that it begins again, as something else if need be.
    /// - Parameter note: why, if nobody has asked for it: it counts as one more run of the same start then.
    func begin(as specification: MachineSpecification? = nil, after note: RestartNote? = nil) throws(FleetError) {
        // It is gone after a restart of this computer.
        try store.paths.makeRuntimeFolder()
        var generator = SystemRandomNumberGenerator()
        let wanted = specification ?? record.specification
        let count = wanted.ownNetworkCount
        let isTaken = store.list().contains { other in
            !other.state.isOver && other.id != record.id
                && other.networkNumbers.contains(where: record.networkNumbers.contains)
        }
        let numbers =
            record.networkNumbers.count == count && !isTaken
            ? record.networkNumbers : try store.freeNetworkNumbers(count, using: &generator)
        let socketPath = store.paths.socketPath(record.id)
        try update { record in
            record.takeOver()
            // Whatever began it first, nobody sits in front of it now.
            record.specification = wanted.inBackground
            record.state = .starting
            (record.endedSeconds, record.exitStatus, record.failure) = (nil, nil, nil)
            (record.isStopped, record.isOrphaned) = (nil, nil)
            (record.imageDamage, record.diskFailures) = (nil, nil)
            (record.monitorProcess, record.isEmulated, record.socketPath) = (nil, false, socketPath)
            record.networkNumbers = numbers
            if let note { record.note(note) } else { (record.restartCount, record.restarts) = (nil, nil) }
        }
        store.clearComingBack(record)
        turnConsoleOver()
    }
}

extension MachineRecord {
    /// Counts a run more than the first: as a restart, or, where somebody had it boot anew, as that. Policies count restarts.
    mutating func note(_ note: RestartNote, isReset: Bool = false) {
        if isReset {
            resetCount = min(resetCount ?? 0, .max - 1) + 1
        } else {
            restartCount = min(restartCount ?? 0, .max - 1) + 1
        }
        restarts = (restarts ?? []).suffix(RestartNote.most - 1) + [note]
    }
}
