public import ArgumentParser
import EmulatedHost
import Fleet
import LinuxCalls

/// The whole command line.
public struct SwiftletCommand: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "swiftlet",
        abstract: "Runs programs in microVMs: a virtual machine each, as quick to start as a process.",
        discussion: """
            Examples:
              swiftlet image import busybox ./rootfs.tar   make an image
              swiftlet run --rm busybox echo hello         run a program in a machine of its own
              swiftlet run -it --rm busybox sh             a shell in one
              swiftlet run -d --name web python app.py     in the background
              swiftlet ps                                  what runs
              swiftlet doctor                              what this computer can do

            Exit status: the program's own; 125 when it did not run, 126 and 127 when it could not be started or found,
            124 after --timeout, 128 and the signal's number when a signal ended it.
            """,
        version: Product.version,
        groupedSubcommands: [
            CommandGroup(
                name: "Machines",
                subcommands: [
                    RunCommand.self, ExecCommand.self, PsCommand.self, LogsCommand.self, CopyCommand.self,
                    StopCommand.self, KillCommand.self, WaitCommand.self, StartCommand.self, RestoreCommand.self,
                    UpdateCommand.self, RollbackCommand.self, RemoveCommand.self, InspectCommand.self,
                    PauseCommand.self, ResumeCommand.self, SuspendCommand.self, SnapshotCommand.self, CloneCommand.self,
                    ForkCommand.self, AttachCommand.self, DetachCommand.self, PublishCommand.self,
                    UnpublishCommand.self, EgressCommand.self,
                    SetCommand.self, StatsCommand.self, TopCommand.self,
                ]),
            CommandGroup(
                name: "Wires of machines",
                subcommands: [
                    InsertCommand.self, TakeOutCommand.self, BypassCommand.self, SwapCommand.self, ImpairCommand.self,
                    WiresCommand.self, TopologyCommand.self, CaptureCommand.self, FlowsCommand.self, TraceCommand.self,
                ]),
            CommandGroup(
                name: "What machines are made of",
                subcommands: [
                    ImageCommand.self, PullCommand.self, PushCommand.self, LoadCommand.self, SaveCommand.self,
                    TagCommand.self, HistoryCommand.self, PruneCommand.self, LoginCommand.self, LogoutCommand.self,
                    KernelCommand.self, SettingsCommand.self, ApplianceCommand.self, ResetCommand.self,
                    VolumeCommand.self, NetworkCommand.self, BuildCommand.self,
                ]),
            CommandGroup(
                name: "This computer",
                subcommands: [HostCommand.self, DoctorCommand.self, CompletionsCommand.self, VersionCommand.self]),
        ])

    public init() {}

    /// Commands of `image` that have names of their own.
    static let shortcuts = ["images": "list", "rmi": "remove"]

    /// Parses and runs; never returns.
    public static func run(arguments: [String]) -> Never {
        openMissingStandardStreams()
        // A file that may not grow is an error of its writer's, as a full disk is.
        try? ignoreSignal(SignalNumber.fileSizeLimit)
        var arguments = arguments
        if arguments.first == "supervise" {
            // Not for people: the background side of `run --detach`.
            SuperviseCommand.run(Array(arguments.dropFirst()))
        }
        // What the container engines call them.
        if let command = shortcuts[arguments.first ?? ""] {
            arguments.replaceSubrange(0..<1, with: ["image", command])
        }
        arguments = ProgramArguments.separated(arguments)
        let isJSON = arguments.prefix(while: { $0 != "--" }).contains("--json")
        do {
            try ForeignText.checkProcess()
            try checkVerb(arguments)
            var command = try parseAsRoot(arguments)
            try command.run()
            exitProcess(0)
        } catch let status as ExitStatusError {
            exitProcess(status.status)
        } catch let code as ExitCode {
            exitProcess(code.rawValue)
        } catch {
            if isOurs(error) {
                let failure = CommandFailure(error)
                failure.report(asJSON: isJSON)
                exitProcess(failure.status)
            }
            // Help and version are the parser's errors too, with status 0.
            let text = fullMessage(for: error)
            let status = exitCode(for: error).rawValue
            if status == 0 {
                Output.line(text)
                exitProcess(0)
            }
            if isJSON {
                CommandFailure("usage", message(for: error)).report(asJSON: true)
            } else {
                Output.error(text.hasPrefix("Error: ") ? "swiftlet: " + text.dropFirst(7) : text)
            }
            exitProcess(CommandFailure.exitStatus)
        }
    }

    /// Of a command that has commands: that the second word is one of them.
    static func checkVerb(_ arguments: [String]) throws(CommandFailure) {
        guard arguments.count > 1, !arguments[1].hasPrefix("-"),
            let command = configuration.subcommands.first(where: { $0.configuration.commandName == arguments[0] })
        else { return }
        var names: [String] = []
        for own in command.configuration.subcommands {
            let own = own.configuration
            if own.commandName == arguments[1] || own.aliases.contains(arguments[1]) { return }
            if own.shouldDisplay, let name = own.commandName { names.append(name) }
        }
        guard !names.isEmpty, command.configuration.defaultSubcommand == nil else { return }
        throw CommandFailure(
            "usage", "\(arguments[0]) has no command \"\(arguments[1])\"; there are \(names.joined(separator: ", "))")
    }

    private static func isOurs(_ error: any Error) -> Bool {
        CommandFailure(error).code != "internal" || error is LinuxError
    }
}

/// Ends the program with a status and without a word.
struct ExitStatusError: Error {
    var status: Int32
}

/// What this is.
enum Product {
    static let version = "0.1.0"
    static let paths = ProductPaths.standard()
    static var fleet: MachineFleet { MachineFleet(paths) }
    static var executable: String { "/proc/self/exe" }
}

/// `--json`, wherever a program may read. Every error is JSON with it.
struct FormatOptions: ParsableArguments {
    @Flag(name: .customLong("json"), help: "Print JSON, for programs.")
    var isJSON = false
}

/// `--json` where what is printed is not ours.
struct ErrorFormatOptions: ParsableArguments {
    @Flag(name: .customLong("json"), help: "Print errors as JSON, for programs.")
    var isJSON = false
}
