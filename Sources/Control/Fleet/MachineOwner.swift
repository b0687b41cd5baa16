public import AgentClient
public import AgentProtocol
import HostFiles
import LinuxCalls

/// How a run came out, for whoever started it.
public struct RunOutcome: Equatable, Sendable {
    /// The program's exit status as a shell gives it, 124 when its time was over.
    public var exitStatus: Int32
    /// Whether the program was ended from outside, and by what.
    public var note: String?
}

/// Runs one machine from its record to its end, in this process: in front for `run`, in the background for `supervise`.
public final class MachineOwner {
    /// Connections that come at once: control and three streams.
    private static let expectedConnections = 4
    private static let configureID: UInt32 = 1
    private static let processID: UInt32 = 2
    private static let consoleTailBytes = 2000
    /// A panic's own line stands before its registers, calls and modules.
    private static let panicTailBytes = 64 << 10

    /// How a guest ends its machine, by what the monitor then ends with. A kernel without ACPI halts when it is switched
    /// off. Source: swiftlet-vmm --help.
    private static let ownEnds = [
        "exit status 0": "the machine was powered off or restarted", "exit status 2": "the machine was halted",
    ]

    private let machine: OwnedMachine
    private let launcher: any MonitorLauncher
    private let signals: SignalWatcher?
    private var specification: MachineSpecification { machine.record.specification }

    /// Descriptor of what becomes the program's standard input.
    public var input: Int32?
    public var output: any OutputSink
    public var terminalSize: () -> TerminalSize? = { nil }
    /// Called when the program runs.
    public var whenStarted: () -> Void = {}

    init(_ machine: OwnedMachine, launcher: any MonitorLauncher, signals: SignalWatcher?, output: any OutputSink) {
        self.machine = machine
        self.launcher = launcher
        self.signals = signals
        self.output = output
    }

    /// Boots, runs the program, ends the machine and records all of it.
    /// - Throws: when the program did not run, or its exit status never came; nothing is left running then.
    public func run() throws -> RunOutcome {
        do {
            let outcome = try runProgram()
            machine.finish(exitStatus: outcome.exitStatus, failure: outcome.note)
            return outcome
        } catch {
            machine.finish(exitStatus: nil, failure: "\(error)")
            throw error
        }
    }

    private func runProgram() throws -> RunOutcome {
        let paths = machine.store.paths
        let socketPath = launcher.socketPath(machine.record.id)
        guard socketPath.utf8.count <= ProductPaths.maximumSocketPathBytes else {
            throw FleetError(
                .unusableFolder,
                "the path \(socketPath) is too long for a socket; set SWIFTLET_RUNTIME to a shorter folder")
        }
        var initrds = [try AgentArchive.prepare(paths)]
        if let modules = specification.modulesPath { initrds.append(modules) }
        let configuration = MonitorConfiguration(
            specification: specification, ownNetwork: machine.record.ownNetwork, initrdPaths: initrds,
            socketPath: socketPath)
        let configurationPath = machine.folder.appending("monitor.json")
        try files { () throws(HostFileError) in
            try configurationPath.replaceQuickly(Array(configuration.json.utf8))
        }
        let listener = try launcher.sockets.listen(
            "\(socketPath)_\(VsockPorts.agent)", expecting: Self.expectedConnections)
        defer { listener.close() }
        let consolePath = machine.folder.appending("console.log")
        let console = ConsoleSink(consolePath, isShown: specification.showsConsole)
        let monitor = try launcher.start(
            paths.monitor, configurationPath: configurationPath.description,
            console: console)
        defer {
            console.hide()
            monitor.end()
            if monitor.wasKilled { launcher.removeSocket(socketPath) }
        }
        // Everything from here on happens while the guest boots.
        let launcher = launcher
        try machine.update { record in
            record.socketPath = socketPath
            record.isEmulated = launcher.isEmulated
            record.monitorProcess = monitor.processIdentifier
        }
        let control = try awaitAgent(listener, monitor, consolePath)
        try control.send(.configure(guestConfiguration()), id: Self.configureID)
        let session = try ProcessSession(start(), id: Self.processID, over: control, output: output)
        session.startPatience = .seconds(launcher.patienceSeconds)
        session.input = input
        session.signals = signals
        session.terminalSize = terminalSize
        session.machineExit = monitor.exitDescriptor
        session.listener = listener
        session.timeLimit = specification.timeLimitSeconds.map { .milliseconds(Int64(min($0, 1e9) * 1000)) }
        session.whenStarted = { [machine, whenStarted] in
            try? machine.update { record in
                record.state = .running
                record.startedSeconds = Int64(Clock.realTime.nanoseconds() / 1_000_000_000)
            }
            whenStarted()
        }
        let end: SessionEnd
        do throws(AgentClientError) { end = try session.run() } catch {
            guard error.code == .gone else { throw error }
            end = .machineEnded
        }
        switch end {
        case .exited(let status):
            endGuest(control, monitor)
            return RunOutcome(exitStatus: Int32(status.shellStatus))
        case .timedOut:
            return RunOutcome(
                exitStatus: 124, note: "the program was ended after \(specification.timeLimitSeconds ?? 0) seconds")
        case .ended(let signal):
            return RunOutcome(exitStatus: 128 + signal, note: "the machine was ended by signal \(signal)")
        case .machineEnded:
            // A guest that was told to power off, by `stop` or from within, ends without a status.
            _ = monitor.waitUntilEnded(milliseconds: 5000)
            if let reason = panic(consolePath) {
                throw FleetError(.kernelPanicked, "the guest's kernel panicked: \(reason)\(tail(consolePath))")
            }
            if machine.record.state == .running, let note = Self.ownEnds[monitor.ending] {
                return RunOutcome(exitStatus: 128 + SignalNumber.kill, note: note)
            }
            throw FleetError(
                .monitorEnded,
                "the machine ended before its program did (monitor: \(monitor.ending))\(tail(consolePath))")
        }
    }

    /// Lets the guest write to its disks what it has not, where there are any.
    private func endGuest(_ control: AgentConnection, _ monitor: any RunningMonitor) {
        guard specification.disks.contains(where: { !$0.isReadOnly }) else { return }
        try? control.send(.powerOff(PowerOff(.powerOff, graceMilliseconds: 1000)))
        _ = monitor.waitUntilEnded(milliseconds: 10_000)
    }

    /// Waits for the agent's call and its greeting.
    private func awaitAgent(
        _ listener: any SocketListener, _ monitor: any RunningMonitor, _ consolePath: HostPath
    ) throws -> AgentConnection {
        let deadline = Deadline(afterMilliseconds: UInt64(launcher.patienceSeconds) * 1000)
        while true {
            var entries = [PollEntry(reading: monitor.exitDescriptor), PollEntry(reading: signals?.descriptor ?? -1)]
            entries += listener.descriptors.map { PollEntry(reading: $0) }
            guard wait(for: &entries, until: deadline) > 0 else {
                guard deadline.isOver else { continue }
                throw FleetError(
                    .agentSilent,
                    "the guest did not answer within \(launcher.patienceSeconds) seconds; is its kernel one that Swiftlet knows?\(tail(consolePath))"
                )
            }
            while let next = signals?.next() {
                guard SignalWatcher.asksForTheEnd(next) else { continue }
                let signal = next == SignalWatcher.endNow ? SignalNumber.kill : next
                throw FleetError(
                    .interrupted, "ended by signal \(signal) before the program started", signal: signal)
            }
            if entries[2...].contains(where: \.isReady), let connection = try listener.accept() {
                let socket = AgentSocket(connection)
                let bytes = try socket.readExactly(Opening.byteCount, until: deadline)
                guard let opening = try? Opening(decoding: bytes), case .control = opening.kind else { continue }
                return try AgentConnection(greetingOn: socket, until: deadline)
            }
            if entries[0].isReady {
                _ = monitor.waitUntilEnded(milliseconds: 2000)
                throw FleetError(
                    .monitorEnded, "the monitor ended before the guest answered (\(monitor.ending))\(tail(consolePath))"
                )
            }
        }
    }

    /// What the kernel said as it gave up, if it did. It then resets the machine as it would be asked to, so that only
    /// the console tells the two apart.
    private func panic(_ console: HostPath) -> String? {
        guard let bytes = try? console.readWhole(limit: 4 << 20) else { return nil }
        return Self.panic(in: String(decoding: bytes.suffix(Self.panicTailBytes), as: UTF8.self))
    }

    /// The reason in the last line that tells of a panic: the kernel's own, which begins with its time or with it.
    ///
    /// Trust: a program may write such a line to the console; all it gains is another reason for its machine's end.
    static func panic(in console: String) -> String? {
        let words = "Kernel panic - not syncing: "
        for line in console.split(whereSeparator: \.isNewline).reversed() {
            var rest = line[...]
            while rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
                rest = rest[rest.index(after: end)...].drop(while: { $0 == " " })
            }
            if rest.hasPrefix(words) { return String(rest.dropFirst(words.count)) }
        }
        return nil
    }

    /// The end of what the console said, for an error message.
    private func tail(_ console: HostPath) -> String {
        guard let bytes = try? console.readWhole(limit: 4 << 20), !bytes.isEmpty else { return "" }
        let text = String(decoding: bytes.suffix(Self.consoleTailBytes), as: UTF8.self)
        let lines = text.split(whereSeparator: \.isNewline).suffix(20)
        return "; its console ends with:\n" + lines.map { "    \($0)" }.joined(separator: "\n")
    }

    private func guestConfiguration() -> Configuration {
        var configuration = Configuration()
        configuration.hostName = ByteString(specification.hostName ?? machine.record.name)
        configuration.root = RootFileSystem(source: ByteString(MonitorConfiguration.rootDevice), fileSystem: "erofs")
        configuration.interfaces = machine.record.guestInterfaces
        configuration.realTimeNanoseconds = Clock.realTime.nanoseconds()
        var generator = SystemRandomNumberGenerator()
        configuration.seed = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
        return configuration
    }

    private func start() -> Start {
        var generator = SystemRandomNumberGenerator()
        let streams: Start.Streams =
            specification.hasTerminal
            ? .terminal(terminalSize() ?? TerminalSize(rows: 24, columns: 80))
            : .pipes(input: specification.isInteractive, output: true, error: true)
        return Start(
            arguments: specification.command.map { ByteString($0) },
            environment: specification.environment.map { ByteString($0) }, user: ByteString(specification.user),
            workingDirectory: ByteString(specification.workingDirectory), streams: streams, streamOrigin: .agent,
            token: Token(first: generator.next(), second: generator.next()))
    }
}
