import CLinux
import HostFiles
import LinuxCalls

/// A machine's hold on one of its disks, for as long as its owner lives: alone where the machine may write, with others that
/// only read where it may not.
///
/// The owner has it and not the monitor, for locks of files do not reach through the emulated host's share.
final class DiskLock: Sendable {
    let descriptor: FileDescriptor

    /// Nil when somebody's lock does not go with this one.
    fileprivate init?(_ disk: MachineSpecification.Disk) throws(LinuxError) {
        let file = try open(disk.path, disk.isReadOnly ? .readOnly : .readWrite)
        do throws(LinuxError) {
            // LOCK_SH or LOCK_EX, LOCK_NB. SAFETY: no address is passed.
            unsafe try systemCallRestarting(__NR_flock, Int(file.number), (disk.isReadOnly ? 1 : 2) | 4)
        } catch {
            if error.number == EAGAIN { return nil }
            throw error
        }
        descriptor = file
    }

    /// Whether the file still has a name: one that was removed while its lock was waited for is nobody's disk.
    var isNamed: Bool {
        (try? HostPath("/proc/self/fd/\(descriptor.number)").status().linkCount).map { $0 > 0 } ?? false
    }

    /// Takes over what was inherited.
    init(inherited number: Int32) throws(LinuxError) {
        descriptor = FileDescriptor(owning: number)
        try fileControl(number, F_SETFD, 1)
    }
}

extension MachineFleet {
    static let sectorBytes: UInt64 = 512
    private static let blockDevice: UInt16 = 0o060000

    /// Holds each of the disks, in their order.
    func hold(_ disks: [MachineSpecification.Disk]) throws(FleetError) -> [DiskLock] {
        var locks: [DiskLock] = []
        for (index, disk) in disks.enumerated() {
            try Self.check(disk)
            let lock: DiskLock?
            do throws(LinuxError) { lock = try DiskLock(disk) } catch { throw Self.unopened(disk, error) }
            guard let lock else { throw taken(disk, besides: Array(disks[..<index])) }
            try checkAttached(disk)
            guard lock.isNamed else {
                throw FleetError(.unusableDisk, "the disk \(disk.path) has been removed at this moment")
            }
            locks.append(lock)
        }
        return locks
    }

    /// A machine in the emulated host has no lock on what was attached to it, and one that goes on from a snapshot on what was
    /// attached before; otherwise it goes with the monitor's descriptor.
    private func checkAttached(_ disk: MachineSpecification.Disk) throws(FleetError) {
        for machine in store.list() {
            for other in store.attachments(of: machine).compactMap(\.disk)
            where !(disk.isReadOnly && other.isReadOnly) && Self.areSame(disk, other) {
                throw attached(disk, to: machine)
            }
        }
    }

    private func attached(_ disk: MachineSpecification.Disk, to machine: MachineRecord) -> FleetError {
        FleetError(
            .unusableDisk,
            "the disk \(disk.path) is attached to the machine \"\(machine.name)\"; a disk that is written to is one machine's alone; with :ro many may read it. Take it away first: swiftlet detach \(machine.name) \(disk.path)"
        )
    }

    private static func check(_ disk: MachineSpecification.Disk) throws(FleetError) {
        let status: FileStatus
        do throws(HostFileError) { status = try HostPath(disk.path).status() } catch {
            throw FleetError(.unusableDisk, "the disk \(disk.path) cannot be opened: \(error.reason)")
        }
        // Opening a pipe would wait for its other end.
        guard status.isRegularFile || status.kind == blockDevice else {
            throw FleetError(.unusableDisk, "\(disk.path) is no disk; a file or a block device can be one")
        }
        let size: UInt64
        do throws(LinuxError) {
            size = try open(disk.path, disk.isReadOnly ? .readOnly : .readWrite).sizeBytes()
        } catch {
            throw unopened(disk, error)
        }
        guard size > 0 else {
            throw FleetError(
                .unusableDisk, "the disk \(disk.path) is empty; give it a size first: truncate -s 64M \(disk.path)")
        }
        guard size % sectorBytes == 0 else {
            throw FleetError(
                .unusableDisk,
                "\(disk.path) has \(size) bytes; a disk is a multiple of \(sectorBytes). Add zeroes at its end: truncate -s %\(sectorBytes) \(disk.path)"
            )
        }
    }

    private static func unopened(_ disk: MachineSpecification.Disk, _ error: LinuxError) -> FleetError {
        FleetError(.unusableDisk, "the disk \(disk.path) cannot be opened: \(error)")
    }

    /// Says who has the disk.
    private func taken(
        _ disk: MachineSpecification.Disk, besides earlier: [MachineSpecification.Disk]
    ) -> FleetError {
        let rule = "a disk that is written to is one machine's alone; with :ro many may read it"
        if let other = earlier.first(where: { Self.areSame($0, disk) }) {
            return FleetError(.unusableDisk, "\(disk.path) and \(other.path) are one disk; \(rule)")
        }
        for machine in store.list() where !machine.state.isOver {
            if store.attachments(of: machine).compactMap(\.disk).contains(where: { Self.areSame($0, disk) }) {
                return attached(disk, to: machine)
            }
            guard let other = machine.specification.allDisks.first(where: { Self.areSame($0, disk) }) else { continue }
            let use = other.isReadOnly ? "reads" : "may write to"
            if let volume = machine.specification.container.volumes.first(where: { $0.diskPath == disk.path }) {
                return FleetError(
                    .unusableDisk,
                    "the machine \"\(machine.name)\" \(use) the volume \"\(volume.name)\"; a volume that is written to is one machine's alone; with :ro many may read it. End it first: swiftlet stop \(machine.name)"
                )
            }
            return FleetError(
                .unusableDisk,
                "the machine \"\(machine.name)\" \(use) the disk \(disk.path); \(rule). End it first: swiftlet stop \(machine.name)"
            )
        }
        return FleetError(
            .unusableDisk, "another program has locked the disk \(disk.path) (lslocks tells which); \(rule)")
    }

    static func areSame(_ one: MachineSpecification.Disk, _ other: MachineSpecification.Disk) -> Bool {
        guard let first = try? HostPath(one.path).status(), let second = try? HostPath(other.path).status() else {
            return false
        }
        return first.inodeNumber == second.inodeNumber && first.fileSystemID == second.fileSystemID
    }
}
