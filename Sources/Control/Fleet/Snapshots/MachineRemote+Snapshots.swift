import AgentClient
import Glibc
import HostFiles
import LinuxCalls

/// Snapshots of a machine that runs.
extension MachineRemote {
    /// How long the guest may take to stop its programs; an emulated processor has others to serve, too.
    private var holdMilliseconds: UInt32 { record.isEmulated ? 30_000 : 5000 }

    /// Has the machine's programs stop and the machine stand still, writes it down, and lets it go on.
    /// - Parameters:
    ///   - name: nil for the machine's own and a number.
    ///   - ends: whether the machine is ended instead, from exactly where the snapshot stands.
    ///   - isChecked: whether each page of the memory is checked before a clone sees it.
    /// - Throws: leaving the machine running and no snapshot.
    public func makeSnapshot(
        _ name: String?, ends: Bool = false, isChecked: Bool = false
    ) throws -> SnapshotRecord {
        try makeSnapshot(name, ends: ends, isChecked: isChecked, isForWarmStarts: false)
    }

    func makeSnapshot(
        _ name: String?, ends: Bool = false, isChecked: Bool = false, isForWarmStarts: Bool
    ) throws -> SnapshotRecord {
        let snapshots = SnapshotStore(store.paths)
        if let name {
            try SnapshotStore.check(name: name)
            try snapshots.checkFree(name)
        }
        snapshots.removeLeftovers()
        try checkWhole()
        return try whileHeld { folder, _ throws(any Error) in
            var draft = draft(name ?? snapshots.freeName(for: record.name))
            draft.isForWarmStarts = isForWarmStarts
            if isForWarmStarts, !draft.attachments.isEmpty { throw unsuitable("something was attached to it") }
            try standStill()
            do {
                try writeFiles(into: folder, &draft)
                let (gathered, place) = try snapshots.gather(draft, from: folder)
                let made = try MachineFleet(store.paths).keepImage(
                    of: snapshots.list(gathered, in: place, isChecked: isChecked))
                if ends { try kill() } else { try goOn() }
                return made
            } catch {
                try? goOn()
                throw error
            }
        }
    }

    /// Makes machines that go on from where this one is, as other machines, and lets it go on.
    ///
    /// Programs are held and the machine stands still for some milliseconds; only one that writes to disks stands still until
    /// these are copied.
    /// - Parameter ends: asked between two steps.
    /// - Returns: the new machines, which nobody runs yet.
    /// - Throws: leaving this machine running, and no others.
    public func fork(_ options: [CloneOptions], ends: any EndRequests) throws -> [OwnedMachine] {
        let snapshots = SnapshotStore(store.paths)
        snapshots.removeLeftovers()
        try checkWhole()
        let (taken, place) = try whileHeld { folder, agent throws(any Error) in
            var draft = draft(record.name)
            if draft.disks.isEmpty {
                let watch = try LiveSnapshotWatch(folder) { try? agent.release() }
                defer { watch.end() }
                try control.writeLiveSnapshot(state: SnapshotRecord.stateName, memory: SnapshotRecord.memoryName)
            } else {
                try standStill()
                defer { try? goOn() }
                try writeFiles(into: folder, &draft)
            }
            return try snapshots.gather(draft, from: folder)
        }
        defer { MachineStore.removeFiles(in: place) }
        let fleet = MachineFleet(store.paths)
        var made: [OwnedMachine] = []
        do {
            for each in options {
                if let signal = ends.endingSignal() { throw FleetError(endedBy: signal) }
                made.append(try fleet.makeClone(of: taken, in: place, each))
            }
        } catch {
            for machine in made { store.removeFolder(machine.record) }
            throw error
        }
        return made
    }

    /// Writes down a machine that has booted and whose program has not been started, for its owner.
    func makeTemplate(_ name: String, over agent: AgentConnection) throws -> SnapshotRecord {
        let snapshots = SnapshotStore(store.paths)
        let folder = store.folder(record.id).appending(OwnedMachine.controlFolder)
        try agent.hold(patienceMilliseconds: holdMilliseconds)
        try control.pause()
        var draft = draft(name)
        draft.runsProgram = false
        try writeFiles(into: folder, &draft)
        return try MachineFleet(store.paths).keepImage(of: snapshots.take(draft, from: folder))
    }

    /// Has the machine's programs stop, writes it down beside its record, and ends it. Whoever begins it finds it where it was.
    /// - Throws: leaving the machine running.
    public func suspend() throws {
        try whileHeld { folder, _ throws(any Error) in
            try standStill()
            do {
                try control.writeSnapshot(state: SnapshotRecord.stateName, memory: SnapshotRecord.memoryName)
                let own = store.folder(record.id)
                let suspension = try files { () throws(HostFileError) in
                    for (name, kept) in [
                        (SnapshotRecord.memoryName, Suspension.memoryName),
                        (SnapshotRecord.stateName, Suspension.stateName),
                    ] {
                        let file = folder.appending(name)
                        try HostFile(file).synchronize()
                        try file.rename(to: own.appending(kept))
                    }
                    return try Suspension(
                        of: record.specification, with: store.attachments(of: record),
                        seconds: Int64(Clock.realTime.nanoseconds() / 1_000_000_000))
                }
                // From here on it is a suspended machine, whoever ends its owner.
                try suspension.write(to: own)
            } catch {
                try? goOn()
                throw error
            }
            try kill()
        }
    }

    /// Calls `body` with every user program of the machine stopped, and lets them go on.
    ///
    /// Whoever goes on from a snapshot finds the programs held, and makes the machine another one before they go on.
    private func whileHeld<Result>(
        _ body: (_ folder: HostPath, _ agent: AgentConnection) throws -> Result
    ) throws -> Result {
        // Nothing comes or goes meanwhile.
        try store.withLimitsLock(record) {
            try checkSuitable()
            return try whileControlled(body)
        }
    }

    private func whileControlled<Result>(
        _ body: (_ folder: HostPath, _ agent: AgentConnection) throws -> Result
    ) throws -> Result {
        try withControlLock { () throws(any Error) in
            try checkRunsProgram()
            if store.hasPauseMark(record) {
                throw FleetError(
                    .paused,
                    "the machine \"\(record.name)\" is paused; let it go on first: swiftlet resume \(record.name)")
            }
            let folder = store.folder(record.id).appending(OwnedMachine.controlFolder)
            defer { SnapshotStore.removeUnfinished(in: folder) }
            let agent = try connect()
            defer { try? agent.release() }
            try agent.hold(patienceMilliseconds: holdMilliseconds)
            return try body(folder, agent)
        }
    }

    /// The machine stands still: what is in its memory and what is on its disks belong together.
    private func writeFiles(into folder: HostPath, _ draft: inout SnapshotRecord) throws(FleetError) {
        try control.writeSnapshot(state: SnapshotRecord.stateName, memory: SnapshotRecord.memoryName)
        for place in draft.disks.indices {
            let disk = HostPath(draft.allDisks[draft.disks[place].place].path)
            let copy = folder.appending(draft.disks[place].fileName)
            draft.disks[place].sizeBytes = try files { () throws(HostFileError) in
                try DiskCopy.copy(disk, over: copy)
                return try copy.status().sizeBytes
            }
        }
    }

    private func draft(_ name: String) -> SnapshotRecord {
        var generator = SystemRandomNumberGenerator()
        let attachments = store.attachments(of: record)
        let written = (record.specification.allDisks + attachments.compactMap(\.disk)).enumerated().filter {
            !$0.element.isReadOnly
        }
        return SnapshotRecord(
            id: MachineNames.identifier(using: &generator), name: name,
            createdSeconds: Int64(Clock.realTime.nanoseconds() / 1_000_000_000), machineID: record.id,
            machineName: record.name, specification: record.specification,
            disks: written.map { SnapshotDisk(place: $0.offset, sizeBytes: 0) }, attachments: attachments)
    }

    /// What lies outside of a machine is not in its snapshot: who goes on from it finds something else there than was there
    /// before.
    private func checkSuitable() throws(SnapshotError) {
        let specification = record.specification
        let attachments = store.attachments(of: record)
        let what: String
        if let attachment = attachments.first(where: { $0.slot == nil || $0.guestName == nil }) {
            let name = attachment.guestName ?? attachment.id
            what =
                "\(name) was not attached to the end, or by an earlier version; take it away first: swiftlet detach \(record.name) \(name)"
        } else if let folder = specification.container.folders.first {
            what =
                "it has the shared folder \(folder.path), whose open files are this computer's; run it without, or copy what it needs into it: swiftlet cp"
        } else if let disk = (specification.allDisks + attachments.compactMap(\.disk)).first(where: {
            !$0.isReadOnly && !Self.isFile($0.path)
        }) {
            what =
                "it writes to the device \(disk.path), and only files are copied; let it have that read-only, or not at all"
        } else {
            return
        }
        throw unsuitable(what)
    }

    /// Who goes on from it would be told to have the interface.
    func checkWhole() throws(SnapshotError) {
        guard let network = store.leftInterfaces(of: record).first?.interface.network.fabricNetwork else { return }
        throw unsuitable(
            "it was taken out of the network \"\(network)\" that it began with; let it begin again before: swiftlet stop \(record.name) && swiftlet start \(record.name)"
        )
    }

    private func unsuitable(_ what: String) -> SnapshotError {
        SnapshotError(.unsuitableMachine, "the machine \"\(record.name)\" cannot be written down: \(what)")
    }

    private static func isFile(_ path: String) -> Bool { (try? HostPath(path).status().isRegularFile) ?? false }
}
