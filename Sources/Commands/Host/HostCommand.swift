import AgentClient
import AgentProtocol
import ArgumentParser
import EmulatedHost
import Fleet

struct HostCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "host", abstract: "The emulated host, where this computer's own KVM cannot run machines.",
        discussion: """
            It is started by itself when it is needed, stays for the next command, and powers off when nobody has used it
            for long.
            """,
        subcommands: [
            HostStartCommand.self, HostStopCommand.self, HostStatusCommand.self, HostShellCommand.self,
            HostExecCommand.self,
        ])

    static var host: EmulatedHost {
        get throws(FleetError) { EmulatedHost(try Launchers.hostSettings(Product.paths)) }
    }

    static func started(isQuiet: Bool = false) throws -> RunningHost {
        try host.start { if !isQuiet { Output.error("swiftlet: \($0)") } }
    }

    /// Runs a command in the host as if it ran here.
    static func run(_ arguments: [String], hasTerminal: Bool, isInteractive: Bool) throws -> Never {
        if hasTerminal, isInteractive, !Terminal.isTerminal(0) {
            throw CommandFailure(
                "usage.no-terminal", "standard input is no terminal; leave --tty out, or --interactive")
        }
        let signals = try SignalWatcher()
        let host = try started()
        let start = host.start(
            arguments, environment: try ForeignText.environment(), workingDirectory: try FilePaths.workingFolder(),
            streams: hasTerminal
                ? .terminal(Terminal.size() ?? TerminalSize(rows: 24, columns: 80))
                : .pipes(input: isInteractive, output: true, error: true))
        let session = try ProcessSession(start, over: try host.connect(), output: StandardOutputs())
        session.silenceAfterExit = ProcessSession.emulatedSilenceAfterExit
        session.endpoint = host
        session.input = isInteractive ? 0 : nil
        session.signals = signals
        session.terminalSize = Terminal.size
        let raw = hasTerminal && isInteractive ? TerminalMode.raw(0) : nil
        let end: SessionEnd
        do { end = try session.run() } catch {
            raw?.restore()
            throw error
        }
        raw?.restore()
        switch end {
        case .exited(let status): throw ExitStatusError(status: Int32(status.shellStatus))
        case .ended(let signal): throw ExitStatusError(status: 128 + signal)
        case .timedOut: throw ExitStatusError(status: 124)
        case .machineEnded: throw CommandFailure("host.ended", "the emulated host ended before the command did")
        }
    }
}

struct HostStartCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start", abstract: "Start it, unless it runs.", discussion: "Example:\n  swiftlet host start")

    @OptionGroup var format: FormatOptions

    func run() throws {
        _ = try HostCommand.started(isQuiet: format.isJSON)
        if format.isJSON { Output.json(HostDocument(try HostCommand.host.status())) }
    }
}

struct HostStopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "End it, with the machines in it, which are named.",
        discussion: "Example:\n  swiftlet host stop")
    @OptionGroup var format: FormatOptions

    func run() throws {
        let host = try HostCommand.host
        let machines = Product.fleet.store.list().filter { $0.isEmulated && !$0.state.isOver }.map(\.name)
        let programs = host.running() == nil ? 0 : host.status().commands ?? 0
        let didRun = try host.stop()
        if format.isJSON {
            return Output.json(StoppedHostDocument(didRun: didRun, machines: didRun ? machines : []))
        }
        guard didRun else { return Output.error("swiftlet: the emulated host did not run") }
        if let note = Self.note(machines: machines, programs: programs) { Output.error("swiftlet: \(note)") }
    }

    /// What ended with the host: every machine is one program in it, those of another `SWIFTLET_HOME` too.
    static func note(machines: [String], programs: Int) -> String? {
        let others = programs - machines.count
        var words = machines
        if others > 0 { words.append("\(others) program\(others == 1 ? "" : "s") of nobody in this SWIFTLET_HOME") }
        return words.isEmpty ? nil : "ended with it: " + words.joined(separator: ", ")
    }
}

struct HostStatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Tell whether it runs, and what it uses.",
        discussion: "Example:\n  swiftlet host status --json")
    @OptionGroup var format: FormatOptions

    func run() throws {
        let status = try HostCommand.host.status()
        if format.isJSON { return Output.json(HostDocument(status)) }
        var table = Table("STATE", "SINCE", "PROCESS", "PROCESSORS", "MEMORY", "USED", "COMMANDS")
        table.add(
            status.state.rawValue, Units.since(status.startedSeconds), status.emulatorProcess.map(String.init) ?? "-",
            "\(status.processors)", Units.size(UInt64(max(0, status.memoryMebibytes)) << 20),
            status.residentMebibytes.map { Units.size(UInt64(max(0, $0)) << 20) } ?? "-",
            status.commands.map(String.init) ?? "-")
        Output.line(table.text)
    }
}

struct HostShellCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shell", abstract: "A shell in it; this computer's files are there at the same paths.",
        discussion: "Example:\n  swiftlet host shell")

    func run() throws {
        try HostCommand.run(["/bin/sh"], hasTerminal: Terminal.isTerminal(0), isInteractive: true)
    }
}

struct HostExecCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec", abstract: "Run a command in it.",
        usage: "swiftlet host exec [options] <program> [<argument> ...]",
        discussion: """
            Options stand before the program.

            Examples:
              swiftlet host exec dmesg
              echo 3 | swiftlet host exec -i tee /proc/sys/vm/drop_caches
            """)
    @Flag(name: [.short, .long], help: "Give the program a terminal.") var tty = false
    @Flag(name: [.short, .long], help: "Pass standard input on.") var interactive = false
    @Argument(help: "The program and its arguments.") var program: [String]

    func run() throws { try HostCommand.run(program, hasTerminal: tty, isInteractive: interactive) }
}

/// The end of the emulated host, for programs: names that stay.
struct StoppedHostDocument: Encodable {
    var didRun: Bool
    /// Those of this `SWIFTLET_HOME` that ended with it.
    var machines: [String]
}

/// The emulated host, for programs: names that stay.
struct HostDocument: Encodable {
    var state: String
    var emulatorProcess: Int32?
    var started: String?
    var processors: Int
    var memoryMebibytes: Int
    var residentMebibytes: Int?
    var commands: Int?
    var connections: Int?
    var idleSeconds: UInt32
    var hasTemplate: Bool

    init(_ status: HostStatus) {
        state = status.state.rawValue
        emulatorProcess = status.emulatorProcess
        started = status.startedSeconds.map(Timestamp.text(seconds:))
        processors = status.processors
        memoryMebibytes = status.memoryMebibytes
        residentMebibytes = status.residentMebibytes
        commands = status.commands
        connections = status.connections
        idleSeconds = status.idleSeconds
        hasTemplate = status.hasTemplate
    }
}
