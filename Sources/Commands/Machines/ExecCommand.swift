import AgentClient
import AgentProtocol
import ArgumentParser
import Fleet
import LinuxCalls

struct ExecCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec", abstract: "Run a further program in a running machine.",
        usage: "swiftlet exec [options] <machine> <program> [<argument> ...]",
        discussion: """
            Examples:
              swiftlet exec web ps
              swiftlet exec -it web sh
              tar c files | swiftlet exec -i web tar x -C /srv
            """)

    @Option(name: [.short, .long], help: ArgumentHelp("Set a variable. May be repeated.", valueName: "name=value"))
    var env: [String] = []
    @Option(help: ArgumentHelp("Variables from a file. May be repeated.", valueName: "file"), completion: .file())
    var envFile: [String] = []
    @Option(name: [.short, .long], help: ArgumentHelp("Folder in which the program starts.", valueName: "path"))
    var workdir: String?
    @Option(name: [.short, .long], help: ArgumentHelp("Run as this user.", valueName: "user")) var user: String?
    @Flag(name: [.short, .long], help: "Give the program a terminal.") var tty = false
    @Flag(name: [.short, .long], help: "Pass standard input on.") var interactive = false
    @Argument(help: "A machine's name or id.", completion: Completions.runningMachines) var machine: String
    @OptionGroup var format: ErrorFormatOptions
    @Argument(help: "The program and its arguments.") var program: [String]

    func run() throws {
        let signals = try SignalWatcher()
        if tty, interactive, !Terminal.isTerminal(0) {
            throw CommandFailure(
                "usage.no-terminal", "standard input is no terminal; leave --tty out, or --interactive")
        }
        try MachineSpecification.check(user: user ?? "", workingDirectory: workdir ?? "")
        let store = Product.fleet.store
        let record = try store.findRunning(machine)
        let remote = MachineRemote(record, store: store)
        let specification = record.specification
        var generator = SystemRandomNumberGenerator()
        let environment = try EnvironmentList.merged(
            specification.environment, files: envFile, settings: env, hasTerminal: tty)
        let start = Start(
            arguments: program.map { ByteString($0) }, environment: environment.map { ByteString($0) },
            user: ByteString(user ?? specification.user),
            supplementaryGroups: specification.container.groups.map { ByteString($0) },
            workingDirectory: ByteString(workdir ?? specification.workingDirectory),
            streams: tty
                ? .terminal(Terminal.size() ?? TerminalSize(rows: 24, columns: 80))
                : .pipes(input: interactive, output: true, error: true),
            streamOrigin: .host, token: Token(first: generator.next(), second: generator.next()))
        let standard = StandardOutputs()
        let session = try ProcessSession(start, over: try remote.connect(), output: standard)
        if remote.record.isEmulated { session.silenceAfterExit = ProcessSession.emulatedSilenceAfterExit }
        session.endpoint = try remote.endpoint()
        session.input = interactive ? 0 : nil
        session.signals = signals
        session.terminalSize = Terminal.size
        var raw: TerminalMode?
        var hasStarted = false
        session.whenStarted = {
            hasStarted = true
            if tty, interactive { raw = TerminalMode.raw(0) }
        }
        defer { raw?.restore() }
        let end: SessionEnd
        do throws(AgentClientError) { end = try session.run() } catch {
            // Whether the connection or the news of the end comes first is chance.
            guard error.code == .gone, hasStarted else { throw error }
            end = .machineEnded
        }
        raw?.restore()
        if let loss = standard.loss { throw loss }
        switch end {
        case .exited(let status): throw ExitStatusError(status: Int32(status.shellStatus))
        case .ended(let signal): throw ExitStatusError(status: 128 + signal)
        case .timedOut: throw ExitStatusError(status: 124)
        case .machineEnded:
            var failure = CommandFailure(
                "machine.ended", "the machine \"\(record.name)\" ended before the program did")
            if hasStarted { failure.status = 128 + SignalNumber.kill }
            throw failure
        }
    }
}
