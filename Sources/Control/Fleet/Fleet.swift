public import AgentClient
import CLinux
import Glibc
import HostFiles
import LinuxCalls

/// Makes machines and runs them, in this process or in the background.
public struct MachineFleet: Sendable {
    public let store: MachineStore

    public init(_ paths: ProductPaths) { store = MachineStore(paths) }

    /// Checks what can be checked, then writes the machine down.
    public func create(_ specification: MachineSpecification, name: String?) throws(FleetError) -> OwnedMachine {
        try specification.check()
        store.cleanLeftovers()
        let locks = try hold(specification.disks)
        let machine = try store.create(specification, name: name)
        machine.diskLocks = locks
        return machine
    }

    /// What runs a machine in this process.
    public func owner(
        of machine: OwnedMachine, signals: SignalWatcher?, output: any OutputSink, report: (String) -> Void
    ) throws -> MachineOwner {
        do {
            let launcher = try Launchers.choose(store.paths, report: report)
            let specification = machine.record.specification
            try Self.check(specification.network, isEmulated: launcher.isEmulated)
            if let most = launcher.memoryMebibytes, specification.memoryMebibytes > most {
                report(
                    "the machine has \(specification.memoryMebibytes) MiB of memory, but the emulated host \(most) MiB; it ends when it uses more than that"
                )
            }
            return MachineOwner(machine, launcher: launcher, signals: signals, output: output)
        } catch {
            machine.finish(exitStatus: nil, failure: "\(error)")
            throw error
        }
    }

    /// Hands a machine to a background process and waits until its program runs.
    ///
    /// The background process inherits the locks of the machine and of its disks, and nothing else.
    /// - Throws: what kept the program from running.
    public func runInBackground(_ machine: OwnedMachine, executable: String) throws(RunFailure) {
        let message: [UInt8]
        do throws(LinuxError) {
            let ready = try PipePair()
            let nothing = try open("/dev/null", .readWrite)
            let descriptors = [
                nothing.number, nothing.number, nothing.number, machine.lockDescriptor, ready.writing.number,
            ]
            _ = try ChildSpawning.start(
                [executable, "supervise", machine.record.id],
                descriptors: descriptors + machine.diskLocks.map { $0.descriptor.number }, isSession: true)
            let reading = try ready.reading.duplicate()
            // Only the child holds the other end from here on.
            Self.drop(ready)
            message = Self.readToEnd(reading.number)
        } catch {
            let error = FleetError(.missingPart, "\(executable) cannot be started in the background: \(error)")
            machine.finish(exitStatus: nil, failure: error.message)
            throw RunFailure(error)
        }
        if message == Array("ok\n".utf8) { return }
        throw RunFailure(decoding: String(decoding: message, as: UTF8.self))
    }

    /// The background side of `runInBackground`: descriptor 3 is the machine's lock, 4 takes the news, 5 and on are the
    /// disks' locks.
    public func supervise(_ id: String, signals: SignalWatcher) {
        let ready = FileDescriptor(owning: 4)
        let number = ready.number
        do {
            try fileControl(3, F_SETFD, 1)
            try fileControl(4, F_SETFD, 1)
            let machine = try OwnedMachine(store: store, id: id, inheritedLock: 3)
            for index in machine.record.specification.disks.indices {
                machine.diskLocks.append(try DiskLock(inherited: Int32(5 + index)))
            }
            let owner = try owner(
                of: machine, signals: signals, output: OutputLog(path: store.outputLog(machine.record)),
                report: { _ in })
            owner.whenStarted = {
                try? writeAll(number, "ok\n")
                // The reader waits for the end of the pipe.
                if let null = try? open("/dev/null", .writeOnly) {
                    // SAFETY: no address is passed.
                    _ = unsafe try? systemCall(__NR_dup3, Int(null.number), Int(number), Int(CLinux.O_CLOEXEC))
                }
            }
            _ = try owner.run()
        } catch {
            try? writeAll(number, RunFailure(error).encoded)
        }
        extendLifetime(ready)
    }

    private static func drop(_ pipe: consuming PipePair) {}

    private static func readToEnd(_ descriptor: Int32) -> [UInt8] {
        var bytes: [UInt8] = []
        while let count = try? read(descriptor, appendingTo: &bytes, maximumBytes: 4096), count > 0 {}
        return bytes
    }
}
