import AgentClient
import AgentProtocol
import CLinux
import ChildProcesses
import Glibc
import HostFiles
import LinuxCalls
import Synchronization

/// Starts monitors on this machine.
final class LocalLauncher: MonitorLauncher {
    private static let usualPatienceSeconds: UInt32 = 60
    private let paths: ProductPaths
    let patienceSeconds: UInt32

    init(_ paths: ProductPaths, patienceSeconds: UInt32?) {
        self.paths = paths
        self.patienceSeconds = patienceSeconds ?? Self.usualPatienceSeconds
    }

    let sockets: any SocketDomain = LocalSockets()
    var isEmulated: Bool { false }
    var memoryMebibytes: Int? { nil }

    func prepare(_ id: String, controlFolder: String?, servesFolders: Bool) throws(FleetError) -> MonitorPlace {
        let folder = paths.socketFolder(id)
        // Somebody else's of a run before, perhaps.
        MachineStore.removeFiles(in: folder)
        try files { () throws(HostFileError) in try folder.makeFolders(mode: 0o700) }
        var place = MonitorPlace(socketPath: paths.socketPath(id))
        if geteuid() == 0, !servesFolders { place.identity = Self.identity(id) }
        guard let identity = place.identity else { return place }
        let own = [folder] + (controlFolder.map { [HostPath($0)] } ?? [])
        do throws(HostFileError) { for path in own { try path.setOwner(identity) } } catch {
            // A container's root has not all numbers.
            for path in own { try? path.setOwner(geteuid()) }
            place.identity = nil
        }
        return place
    }

    /// Above all that distributions, containers and systemd hand out; from the machine's own number, so that two of a thousand
    /// machines are one user in one of five hundred cases. Source: systemd's UIDS-GIDS.
    private static func identity(_ id: String) -> UInt32? { UInt32(id.prefix(7), radix: 16).map { 0x7000_0000 | $0 } }

    func start(
        _ executable: String, configurationPath: String, in place: MonitorPlace, console: any OutputSink
    ) throws(FleetError) -> any RunningMonitor {
        // Its owner listens for the machine's agent, and it connects.
        if let identity = place.identity { try? HostPath(place.agentSocket).setOwner(identity) }
        return try LocalMonitor(
            place.entrance + [executable], configurationPath: configurationPath, identity: place.identity,
            console: console)
    }

    func clear(_ place: MonitorPlace, of monitor: any RunningMonitor) {
        for path in [place.socketPath, place.controlSocket] { try? removeFile(path) }
    }

    func ask(_ arguments: [String]) throws(FleetError) -> (isRight: Bool, said: String) {
        do throws(LinuxError) {
            // Who takes long sees by the end of its standard input that this process has gone, however that went.
            let lifeline = try PipePair()
            var settings = ChildProcess.Settings(arguments)
            settings.descriptors[0] = lifeline.reading.number
            let output = try ChildProcess.output(of: settings)
            _ = consume lifeline
            return (output.isSuccess, output.text)
        } catch {
            throw FleetError(.missingPart, "\(arguments.first ?? "") cannot be run: \(error)")
        }
    }

    func stream(
        _ arguments: [String], to output: any OutputSink, signals: SignalWatcher
    ) throws(FleetError) -> Bool {
        do throws(LinuxError) { return try StreamedProgram(arguments).run(to: output, signals) } catch {
            throw FleetError(.missingPart, "\(arguments.first ?? "") cannot be run: \(error)")
        }
    }
}

/// A child process. Its standard input is a pipe of which this process holds the other end: its lifeline.
private final class LocalMonitor: RunningMonitor {
    private let process: Int32
    private let lifeline: FileDescriptor
    private let exit: FileDescriptor
    private let isConsoleDone = Atomic<Bool>(false)
    /// As `waitpid` gave it; -1 before.
    private let waitStatus = Atomic<Int32>(-1)

    init(
        _ command: [String], configurationPath: String, identity: UInt32?, console: any OutputSink
    ) throws(FleetError) {
        do throws(LinuxError) {
            let input = try PipePair()
            let output = try PipePair()
            let messages = try PipePair()
            process = try ChildSpawning.start(
                command + ["--config-file", configurationPath, "--no-api"]
                    + (identity.map { ["--user", "\($0)"] } ?? []),
                descriptors: [input.reading.number, output.writing.number, messages.writing.number],
                in: .processNamespace)
            // SAFETY: no address is passed.
            exit = FileDescriptor(
                owning: Int32(truncatingIfNeeded: unsafe try systemCall(__NR_pidfd_open, Int(process), 0)))
            lifeline = try input.writing.duplicate()
            let reading = (try output.reading.duplicate().release(), try messages.reading.duplicate().release())
            try startThread { [self] in
                Self.carry(FileDescriptor(owning: reading.0), FileDescriptor(owning: reading.1), to: console)
                isConsoleDone.store(true, ordering: .releasing)
            }
        } catch {
            throw FleetError(
                error.number == ENOENT ? .missingPart : .monitorEnded,
                "the monitor \(command.last ?? "") cannot be started: \(error)"
                    + (error.number == ENOENT
                        ? "; build the product with `make build`, or say where it is with SWIFTLET_LIBEXEC" : ""))
        }
    }

    /// Hands on what comes on both until both have ended.
    private static func carry(
        _ output: borrowing FileDescriptor, _ messages: borrowing FileDescriptor, to console: any OutputSink
    ) {
        var open: [(number: Int32, stream: ProcessStream)] = [
            (output.number, .standardOutput), (messages.number, .standardError),
        ]
        var bytes: [UInt8] = []
        while !open.isEmpty {
            var entries = open.map { PollEntry(reading: $0.number) }
            guard wait(for: &entries, until: .never) > 0 else { continue }
            for (entry, each) in zip(entries, open) where entry.isReady {
                let count = (try? read(each.number, appendingTo: &bytes, maximumBytes: 16 << 10)) ?? 0
                if count == 0 { open.removeAll { $0.number == each.number } }
                _ = console.write(bytes.span, from: each.stream)
                bytes.removeAll(keepingCapacity: true)
            }
        }
    }

    var exitDescriptor: Int32 { exit.number }
    var processIdentifier: Int32? { process }

    let graceMilliseconds: UInt64 = 1000
    func terminate() { _ = Glibc.kill(process, SIGTERM) }
    func kill() { _ = Glibc.kill(process, SIGKILL) }

    func waitUntilEnded(milliseconds: UInt64) -> Bool {
        let deadline = Deadline(afterMilliseconds: milliseconds)
        guard waitUntilReadable(exit.number, until: deadline) else { return false }
        reap()
        while !isConsoleDone.load(ordering: .acquiring), !deadline.isOver { LinuxCalls.sleep(nanoseconds: 200_000) }
        return true
    }

    private func reap() {
        guard waitStatus.load(ordering: .relaxed) < 0 else { return }
        var status: Int32 = 0
        // SAFETY: the kernel writes the status during the call.
        if unsafe waitpid(process, &status, 0) == process { waitStatus.store(status, ordering: .relaxed) }
    }

    var wasKilled: Bool {
        let status = waitStatus.load(ordering: .relaxed)
        return status > 0 && status & 0x7f != 0
    }

    var ending: String {
        let status = waitStatus.load(ordering: .relaxed)
        if status < 0 { return "it runs" }
        return status & 0x7f == 0 ? "exit status \(status >> 8 & 0xff)" : "signal \(status & 0x7f)"
    }
}
