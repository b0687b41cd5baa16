import AgentClient
import EmulatedHost
import GuestKernels
import HostFiles
import ImageStore
import LinuxCalls

extension MachineFleet {
    public var images: ImageStore { ImageStore(root: store.paths.images) }

    /// What `restore` would do with a machine.
    public func restoration(of record: MachineRecord) -> Restoration {
        record.restoration(presentBoot: MachineRecord.presentBoot)
    }

    /// Waits for the owners of machines whose emulated host has ended: what still says that it runs ends in the next moment,
    /// once its owner has seen that. To be asked before anybody begins another host.
    public func awaitEndsWithHost(milliseconds: UInt64 = 60_000) {
        let lost = store.list().filter { record in
            guard !record.state.isOver, record.isEmulated else { return false }
            do throws(FleetError) { _ = try Launchers.sockets(of: record, paths: store.paths) } catch {
                return error.code == .notRunning
            }
            return false
        }
        let deadline = Deadline(afterMilliseconds: milliseconds)
        for record in lost {
            // Those that begin themselves have no host yet, and are not waited for longer than the rest.
            while !deadline.isOver, !store.waitUntilOver(record, milliseconds: 100) {}
        }
    }

    /// Takes a machine that has ended for another run, with all that it needs held: what its last owner left is ended
    /// first. Nil when it runs.
    /// - Parameters:
    ///   - specification: what it is to be from now on, if not what it was.
    ///   - files: those that are to be handed in: what was handed in before is written nowhere.
    ///   - reason: why, if nobody has asked for it.
    public func reopen(
        _ record: MachineRecord, as specification: MachineSpecification? = nil, handingIn files: [HandedInFile] = [],
        because reason: String? = nil
    ) throws(FleetError) -> OwnedMachine? {
        guard let machine = try store.reopen(record) else { return nil }
        let wanted = specification ?? machine.record.specification
        // What is missing is told before anything is waited for.
        try check(wanted, handingIn: files, of: machine.record)
        try endLeftovers(of: machine)
        do throws(ImageError) { try keepImages(of: machine.record, and: wanted) } catch {
            throw FleetError(.missingPart, error.message)
        }
        machine.diskLocks = try holdDisks(of: wanted)
        let note = reason.map { reason in
            RestartNote(
                seconds: Int64(Clock.realTime.nanoseconds() / 1_000_000_000), exitStatus: machine.record.exitStatus,
                reason: reason)
        }
        try machine.begin(as: wanted, after: note)
        return machine
    }

    /// Holds the disks of a machine that is to run, and looks at its volumes.
    func holdDisks(of specification: MachineSpecification) throws(FleetError) -> [DiskLock] {
        let locks = try hold(specification.allDisks)
        do throws(VolumeError) {
            for volume in specification.container.volumes { try VolumeStore(store.paths).checkUsable(volume) }
        } catch {
            throw FleetError(.unusableDisk, error.message)
        }
        return locks
    }

    /// Has the store keep what a machine is made of, and may go back to, for as long as the machine is on record.
    public func keepImages(of record: MachineRecord, and next: MachineSpecification? = nil) throws(ImageError) {
        var digests = Set([record.specification.imageDigest] + (next.map { [$0.imageDigest] } ?? []))
        // Of versions that cannot be read nothing can be run.
        if let versions = try? store.versions(record) { digests.formUnion(versions.imageDigests) }
        try images.hold(digests, for: record.id, in: store.folder(record.id).description)
    }

    private func endLeftovers(of machine: OwnedMachine) throws(FleetError) {
        guard machine.record.isOrphaned == true || !machine.record.state.isOver else { return }
        let left = LeftoverMonitors(machine)
        try left.endHere()
        guard machine.record.isEmulated else { return store.removeRuntimeFiles(machine.record) }
        if let host = EmulatedHost(try Launchers.hostSettings(store.paths)).running() { try left.end(in: host) }
    }

    /// Makes a machine that has ended something else, and leaves it as it is otherwise.
    func change(_ record: MachineRecord, to specification: MachineSpecification) throws(FleetError) {
        guard let machine = try store.reopen(record) else {
            throw FleetError(.stillRunning, "the machine \"\(record.name)\" runs, and cannot be changed")
        }
        if machine.record.specification != specification {
            try machine.update { $0.specification = specification }
        }
    }

    /// What can be known before a machine is run as that.
    func check(
        _ specification: MachineSpecification, handingIn files: [HandedInFile], of record: MachineRecord
    ) throws(FleetError) {
        try specification.inBackground.check()
        try checkHandedIn(specification, handingIn: files, of: record)
        // What the monitor opens by its path.
        for path in [specification.kernelPath, specification.modulesPath ?? ""] where !path.isEmpty {
            guard HostPath(path).exists else {
                throw FleetError(
                    .missingPart,
                    "the kernel that the machine was made with, \(specification.kernel), is gone (\(path)); install it again (`swiftlet kernel list` shows what there is)"
                )
            }
        }
        for path in specification.imageDiskPaths where !HostPath(path).exists {
            throw FleetError(
                .missingPart,
                "the disk of the image \"\(specification.image)\" is gone (\(path)); pull, load or import it again")
        }
    }

    /// Whether everything that a machine was handed in is handed in again.
    public func checkHandedIn(
        _ specification: MachineSpecification, handingIn files: [HandedInFile], of record: MachineRecord
    ) throws(FleetError) {
        // What goes on has them in its memory.
        guard store.restorePoint(of: record)?.runsProgram != true else { return }
        let missing = Set(specification.container.handedIn).subtracting(files.map(\.path)).sorted()
        guard missing.isEmpty else {
            throw FleetError(
                .missingFiles,
                "the machine \"\(record.name)\" was handed \(missing.joined(separator: ", ")), which is written nowhere; hand that in again: --secret NAME=PATH or --file PATH:/GUEST/PATH"
            )
        }
    }
}
