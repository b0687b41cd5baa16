import AgentClient
import AgentProtocol
import EmulatedHost
import LinuxCalls
import Synchronization

/// Starts monitors inside the emulated host.
final class EmulatedLauncher: MonitorLauncher {
    private static let usualPatienceSeconds: UInt32 = 240
    private let host: RunningHost
    let patienceSeconds: UInt32

    init(_ host: RunningHost, patienceSeconds: UInt32?) {
        self.host = host
        self.patienceSeconds = patienceSeconds ?? Self.usualPatienceSeconds
    }

    var sockets: any SocketDomain { host.sockets }
    var isEmulated: Bool { true }
    var memoryMebibytes: Int? { host.memoryMebibytes }

    /// The host has a `/run` of its own. It is no boundary between machines, and its monitors have no users of their own.
    func prepare(_ id: String, controlFolder: String?, servesFolders: Bool) -> MonitorPlace {
        MonitorPlace(socketPath: "/run/swiftlet-\(id)")
    }

    func start(
        _ executable: String, configurationPath: String, in place: MonitorPlace, console: any OutputSink
    ) throws(FleetError) -> any RunningMonitor {
        do throws(AgentClientError) {
            return try EmulatedMonitor(
                host, place.entrance + [executable], configurationPath: configurationPath, console: console)
        } catch {
            throw FleetError(.monitorEnded, "the monitor cannot be started in the emulated host: \(error)")
        }
    }

    func ask(_ arguments: [String]) throws(FleetError) -> (isRight: Bool, said: String) {
        let output = CollectedOutput(mostBytes: 1 << 20)
        do throws(AgentClientError) {
            let control = try host.connect()
            let start = host.start(
                arguments, environment: [], workingDirectory: "/",
                streams: .pipes(input: false, output: true, error: true))
            let session = try ProcessSession(start, over: control, output: output)
            session.silenceAfterExit = ProcessSession.emulatedSilenceAfterExit
            session.endpoint = host
            let end = try session.run()
            let said = output.bytes(of: .standardOutput) + output.bytes(of: .standardError)
            guard case .exited(.exited(let status)) = end else { return (false, "it was ended") }
            return (status == 0, String(decoding: said, as: UTF8.self))
        } catch {
            throw FleetError(.missingPart, "\(arguments.first ?? "") cannot be run in the emulated host: \(error)")
        }
    }

    func stream(
        _ arguments: [String], to output: any OutputSink, signals: SignalWatcher
    ) throws(FleetError) -> Bool {
        do throws(AgentClientError) {
            let start = host.start(
                arguments, environment: [], workingDirectory: "/",
                streams: .pipes(input: false, output: true, error: true))
            let session = try ProcessSession(start, over: try host.connect(), output: output)
            session.silenceAfterExit = ProcessSession.emulatedSilenceAfterExit
            session.endpoint = host
            session.signals = signals
            switch try session.run() {
            case .exited(.exited(let status)): return status == 0
            case .ended: return true
            default: return false
            }
        } catch {
            throw FleetError(.missingPart, "\(arguments.first ?? "") cannot be run in the emulated host: \(error)")
        }
    }

    func clear(_ place: MonitorPlace, of monitor: any RunningMonitor) {
        // One that meets memory that is not right ends at once, as if it were killed, with this status.
        guard monitor.wasKilled || monitor.ending == "exit status 1", let control = try? host.connect() else { return }
        let start = host.start(
            ["/bin/rm", "-f", place.socketPath, place.controlSocket], environment: [], workingDirectory: "/",
            streams: .pipes(input: false, output: false, error: false))
        _ = try? ProcessSession(start, over: control, output: CollectedOutput()).run()
    }
}

/// A command of the emulated host's agent. Its standard input is a pipe of which this process holds the other end, so it
/// ends with this process as it would on this machine.
private final class EmulatedMonitor: RunningMonitor {
    private static let processID: UInt32 = 1
    private let control: AgentConnection
    private let lifeline: FileDescriptor
    private let ended: EventFile
    private let status = Mutex<SessionEnd?>(nil)
    private let isStarted = Atomic<Bool>(true)

    init(
        _ host: RunningHost, _ command: [String], configurationPath: String, console: any OutputSink
    ) throws(AgentClientError) {
        control = try host.connect()
        let input: Int32
        do throws(LinuxError) {
            let pipe = try PipePair()
            lifeline = try pipe.writing.duplicate()
            ended = try EventFile()
            input = try pipe.reading.duplicate().release()
        } catch {
            throw AgentClientError(.gone, "cannot make a pipe: \(error)")
        }
        let start = host.start(
            command + ["--config-file", configurationPath, "--no-api"], environment: [], workingDirectory: "/",
            streams: .pipes(input: true, output: true, error: true))
        do throws(LinuxError) {
            try startThread(stackBytes: 512 << 10) { [self] in
                let input = FileDescriptor(owning: input)
                let session = try? ProcessSession(start, id: Self.processID, over: control, output: console)
                session?.endpoint = host
                session?.ownedInput = consume input
                let end: SessionEnd
                do { end = try session?.run() ?? .machineEnded } catch {
                    _ = console.write(Array("\(error)\n".utf8).span, from: .standardError)
                    isStarted.store(false, ordering: .releasing)
                    end = .machineEnded
                }
                status.withLock { $0 = end }
                ended.signal()
            }
        } catch {
            _ = FileDescriptor(owning: input)
            throw AgentClientError(.gone, "cannot start a thread: \(error)")
        }
    }

    var exitDescriptor: Int32 { ended.descriptor.number }
    var processIdentifier: Int32? { nil }

    /// An emulated processor that others wait for, too.
    let graceMilliseconds: UInt64 = 10_000
    func terminate() { try? control.send(.signal(Signal(15)), id: Self.processID) }
    func kill() { try? control.send(.signal(Signal(9)), id: Self.processID) }

    func waitUntilEnded(milliseconds: UInt64) -> Bool {
        waitUntilReadable(exitDescriptor, until: Deadline(afterMilliseconds: milliseconds))
    }

    var wasKilled: Bool {
        if case .exited(.signalled) = status.withLock({ $0 }) { true } else { false }
    }

    var ending: String {
        switch status.withLock({ $0 }) {
        case nil: "it runs"
        case .exited(.exited(let status)): "exit status \(status)"
        case .exited(.signalled(let signal)): "signal \(signal)"
        default: isStarted.load(ordering: .acquiring) ? "the emulated host ended" : "it could not be started"
        }
    }
}
