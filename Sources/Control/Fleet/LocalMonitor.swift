import AgentClient
import AgentProtocol
import CLinux
import ChildProcesses
import Glibc
import LinuxCalls
import Synchronization

/// Starts monitors on this machine.
final class LocalLauncher: MonitorLauncher {
    private static let usualPatienceSeconds: UInt32 = 60
    private let runtime: String
    let patienceSeconds: UInt32

    init(runtime: String, patienceSeconds: UInt32?) {
        self.runtime = runtime
        self.patienceSeconds = patienceSeconds ?? Self.usualPatienceSeconds
    }

    let sockets: any SocketDomain = LocalSockets()
    var isEmulated: Bool { false }
    var memoryMebibytes: Int? { nil }

    func socketPath(_ id: String) -> String { "\(runtime)/\(id)" }

    func start(
        _ executable: String, configurationPath: String, console: any OutputSink
    ) throws(FleetError) -> any RunningMonitor {
        try LocalMonitor(executable, configurationPath: configurationPath, console: console)
    }

    func ask(_ arguments: [String]) throws(FleetError) -> (isRight: Bool, said: String) {
        do throws(LinuxError) {
            let output = try ChildProcess.output(of: ChildProcess.Settings(arguments))
            return (output.isSuccess, output.text)
        } catch {
            throw FleetError(.missingPart, "\(arguments.first ?? "") cannot be run: \(error)")
        }
    }

    func removeSocket(_ path: String) { try? removeFile(path) }
}

/// A child process. Its standard input is a pipe of which this process holds the other end: its lifeline.
private final class LocalMonitor: RunningMonitor {
    private let process: Int32
    private let lifeline: FileDescriptor
    private let exit: FileDescriptor
    private let isConsoleDone = Atomic<Bool>(false)
    /// As `waitpid` gave it; -1 before.
    private let waitStatus = Atomic<Int32>(-1)

    init(_ executable: String, configurationPath: String, console: any OutputSink) throws(FleetError) {
        do throws(LinuxError) {
            let input = try PipePair()
            let output = try PipePair()
            let messages = try PipePair()
            process = try ChildSpawning.start(
                [executable, "--config-file", configurationPath, "--no-api"],
                descriptors: [input.reading.number, output.writing.number, messages.writing.number], isSession: false)
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
                "the monitor \(executable) cannot be started: \(error)"
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
