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
        let locks = try holdDisks(of: specification)
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
            for interface in specification.interfaces {
                try Self.check(interface.network, isEmulated: launcher.isEmulated)
            }
            for folder in specification.container.folders {
                try folder.checkReachable(isEmulated: launcher.isEmulated)
            }
            let mebibytes = specification.memoryMaximumMebibytes ?? specification.memoryMebibytes
            if let most = launcher.memoryMebibytes, mebibytes > most {
                report(
                    "the machine has \(mebibytes) MiB of memory\(mebibytes > specification.memoryMebibytes ? " at most" : ""), but the emulated host \(most) MiB; it ends when it uses more than that"
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
    /// - Parameter ends: what ends the machine while its program does not run yet.
    /// - Returns: the background process.
    /// - Throws: what kept the program from running.
    @discardableResult
    public func runInBackground(
        _ machine: OwnedMachine, executable: String, signals ends: (any EndRequests)?,
        handingIn files: [HandedInFile] = []
    ) throws(RunFailure) -> BackgroundProcess {
        let background: BackgroundProcess
        let message: [UInt8]
        let signal: Int32?
        do throws(LinuxError) {
            let ready = try PipePair()
            let nothing = try open("/dev/null", .readWrite)
            let handed = try HandedInFiles.pack(files)
            let descriptors = [
                nothing.number, nothing.number, nothing.number, machine.lockDescriptor, ready.writing.number,
                handed.number,
            ]
            background = BackgroundProcess(
                identifier: try ChildSpawning.start(
                    [executable, "supervise", machine.record.id],
                    descriptors: descriptors + machine.diskLocks.map { $0.descriptor.number }, in: .session))
            let reading = try ready.reading.duplicate()
            // Only the child holds the other end from here on.
            Self.drop(ready)
            (message, signal) = Self.news(from: reading.number, of: background, ends)
            if signal != nil {
                // It got the signal, and its program may do with it what it wants.
                if message == Self.started { background.askToEnd() }
                background.end(by: Deadline(afterMilliseconds: BackgroundProcess.graceMilliseconds))
            }
        } catch {
            let error = FleetError(.missingPart, "\(executable) cannot be started in the background: \(error)")
            machine.finish(exitStatus: nil, failure: error.message)
            throw RunFailure(error)
        }
        if let signal {
            let error = FleetError(endedBy: signal)
            // Otherwise it has written its end down itself.
            if message.isEmpty { machine.finish(exitStatus: nil, failure: error.message) }
            throw RunFailure(error)
        }
        if message == Self.started { return background }
        throw RunFailure(decoding: String(decoding: message, as: UTF8.self))
    }

    /// The background side of `runInBackground`: descriptor 3 is the machine's lock, 4 takes the news, 5 has the files that
    /// are handed in, 6 and on are the disks' locks.
    /// - Parameter whenSettingsProposed: see `MachineOwner`.
    public func supervise(
        _ id: String, signals: SignalWatcher, whenSettingsProposed: @escaping @Sendable (MachineRemote) -> Void
    ) {
        let ready = FileDescriptor(owning: 4)
        let number = ready.number
        do {
            try fileControl(3, F_SETFD, 1)
            try fileControl(4, F_SETFD, 1)
            let handed = FileDescriptor(owning: 5)
            let files = try HandedInFiles.unpack(handed.number)
            let machine = try OwnedMachine(store: store, id: id, inheritedLock: 3)
            for index in machine.record.specification.allDisks.indices {
                machine.diskLocks.append(try DiskLock(inherited: Int32(6 + index)))
            }
            let owner = try owner(
                of: machine, signals: signals, output: OutputLog(path: store.outputLog(machine.record)),
                report: { _ in })
            owner.handedIn = files
            owner.whenSettingsProposed = whenSettingsProposed
            var isTold = false
            owner.whenStarted = {
                guard !isTold else { return }
                isTold = true
                try? writeAll(number, Self.started)
                // The reader waits for the end of the pipe.
                if let null = try? open("/dev/null", .writeOnly) {
                    // SAFETY: no address is passed.
                    _ = unsafe try? systemCall(__NR_dup3, Int(null.number), Int(number), Int(CLinux.O_CLOEXEC))
                }
            }
            let outcome = try owner.run()
            if !isTold {
                throw FleetError(
                    .interrupted, outcome.note ?? "ended before the program started", signal: outcome.exitStatus - 128)
            }
        } catch {
            try? writeAll(number, RunFailure(error).encoded)
        }
        extendLifetime(ready)
    }

    private static func drop(_ pipe: consuming PipePair) {}

    /// What the background process says when its program runs.
    private static let started = Array("ok\n".utf8)

    /// What a background process says until it closes the pipe, and the first signal that this process got before.
    ///
    /// The signal is passed on; a process that does not heed it (it may be starting the emulated host) is killed.
    private static func news(
        from descriptor: Int32, of process: BackgroundProcess, _ ends: (any EndRequests)?
    ) -> (message: [UInt8], signal: Int32?) {
        var bytes: [UInt8] = []
        var signal: Int32?
        var deadline = Deadline.never
        while true {
            var entries = [
                PollEntry(reading: descriptor), PollEntry(reading: signal == nil ? ends?.descriptor ?? -1 : -1),
            ]
            if wait(for: &entries, until: deadline) == 0, deadline.isOver {
                process.send(SIGKILL)
                deadline = .never
                continue
            }
            if entries[0].isReady {
                guard let count = try? read(descriptor, appendingTo: &bytes, maximumBytes: 4096), count > 0 else {
                    return (bytes, signal)
                }
            }
            if signal == nil, let wanted = ends?.endingSignal() {
                signal = wanted
                process.send(wanted)
                deadline = Deadline(afterMilliseconds: BackgroundProcess.graceMilliseconds)
            }
        }
    }
}
