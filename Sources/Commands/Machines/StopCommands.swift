import AgentClient
import ArgumentParser
import Fleet
import LinuxCalls

struct StopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "Let machines power off.",
        discussion: """
            A program gets its stop signal, the image's or SIGTERM; when it has not ended in time, its machine is powered off.
            It is not run again, whatever its restart policy says. A machine that has ended is left as it is.

            Examples:
              swiftlet stop web
              swiftlet stop --time 30s web database
              swiftlet stop --all --until-restore       before this computer is switched off
            """)

    @Option(
        name: [.short, .long],
        help: ArgumentHelp("How long programs have; what their machines say if not given.", valueName: "time"))
    var time: String?
    @Flag(name: [.short, .long], help: "Every machine that runs.") var all = false
    @Flag(help: "For `restore` this is not the machines' end: what their restart policies say still holds.")
    var untilRestore = false
    @Argument(help: "Names or ids of machines.", completion: Completions.runningMachines) var machines: [String] = []
    @OptionGroup var format: FormatOptions

    func validate() throws {
        guard all != !machines.isEmpty else {
            throw ValidationError(all ? "give either --all or machines" : "give the names of machines, or --all")
        }
    }

    func run() throws {
        let seconds = try time.map { try Units.time($0, "--time") }
        let store = Product.fleet.store
        let machines = all ? store.list().filter { !$0.state.isOver }.map(\.name) : machines
        try forEach(machines, asJSON: format.isJSON) { reference in
            let record = try store.find(reference)
            guard !record.state.isOver else { return }
            try MachineRemote(record, store: store).stop(graceSeconds: seconds, comesBack: untilRestore)
        }
    }
}

struct KillCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kill", abstract: "End machines at once.",
        discussion: """
            Nothing in the machine is asked; what it has not written to its disks is lost. A machine that has ended is left
            as it is. With a signal nothing ends but what the signal ends: the program gets it. KILL ends the machine.

            Examples:
              swiftlet kill web
              swiftlet kill --signal HUP web
            """)

    @Option(
        name: [.short, .long],
        help: ArgumentHelp("HUP, INT, QUIT, TERM, USR1 or USR2: give the program this signal.", valueName: "signal"))
    var signal = "KILL"
    @Argument(help: "Names or ids of machines.", completion: Completions.runningMachines) var machines: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        guard let number = Self.number(of: signal) else {
            throw CommandFailure(
                "usage.signal",
                "\"\(signal)\" cannot be given to a program; HUP, INT, QUIT, TERM, USR1 and USR2 can")
        }
        let store = Product.fleet.store
        try forEach(machines, asJSON: format.isJSON) { reference in
            let record = try store.find(reference)
            let remote = MachineRemote(record, store: store)
            if number != SignalNumber.kill { return try remote.pass(number) }
            if !record.state.isOver { try remote.kill() }
        }
    }

    /// `TERM`, `SIGTERM` and `15` are the same.
    static func number(of text: String) -> Int32? {
        let name = text.uppercased()
        let known = SignalWatcher.passedOn.map { ($0.key, $0.value) } + [("KILL", SignalNumber.kill)]
        return known.first { $0.0 == name || "SIG\($0.0)" == name || "\($0.1)" == name }?.1
    }
}

struct RemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Forget machines that have ended, with their logs.",
        discussion: """
            Examples:
              swiftlet rm web
              swiftlet rm --force web          ends it first; removes one whose record is damaged, too
              swiftlet rm $(swiftlet ps --all --quiet)
            """)

    @Flag(name: [.short, .long], help: "End the machine first if it runs.") var force = false
    @Argument(help: "Names or ids of machines.", completion: Completions.machines) var machines: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        let store = Product.fleet.store
        var removed: [MachineRecord] = []
        // Some may have gone with the machines before which they were.
        defer {
            let places = format.isJSON ? [] : removed.compactMap { Product.fleet.placeHeld(by: $0) }
            for words in places { Output.error(words) }
        }
        try forEach(machines, asJSON: format.isJSON) { reference in
            if force, try store.removeDamaged(reference) { return }
            let record = try store.find(reference)
            defer { if (try? store.find(record.id)) == nil { removed.append(record) } }
            if force, store.isOwned(record) {
                try MachineRemote(record, store: store).kill()
                // One that removes itself is gone.
                guard let rest = try? store.find(record.id) else { return }
                try store.remove(rest)
            } else {
                try store.remove(record)
            }
        }
    }
}

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Print all that is known about machines and images, as JSON.",
        discussion: """
            What is called both is the machine; `swiftlet image inspect` prints images only.

            Examples:
              swiftlet inspect web
              swiftlet inspect busybox
            """)

    @Argument(help: "Names or ids of machines; names or digests of images.", completion: Completions.machines)
    var machines: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        let store = Product.fleet.store
        try collect(machines, asJSON: format.isJSON) { name -> Inspected in
            do throws(FleetError) {
                let record = try store.find(name)
                var document = MachineDocument(record)
                if record.state == .running { document.memory = MachineRemote(record, store: store).memory() }
                return .machine(document)
            } catch {
                guard error.code == .unknownMachine, let image = try? ImageCommand.resolve(name) else { throw error }
                return .image(try ImageDocument(inspecting: image))
            }
        }
    }

    private enum Inspected: Encodable {
        case machine(MachineDocument)
        case image(ImageDocument)

        func encode(to encoder: any Encoder) throws {
            switch self {
            case .machine(let document): try document.encode(to: encoder)
            case .image(let document): try document.encode(to: encoder)
            }
        }
    }
}

/// Does it for each and prints which were done; what goes wrong with one is said and does not keep the others from being
/// done.
func forEach(_ references: [String], asJSON isJSON: Bool, _ body: (String) throws -> Void) throws {
    let printed: ([String]) -> Void = { if isJSON { Output.json($0) } }
    try collect(references, asJSON: isJSON, print: printed) { (reference: String) -> String in
        try body(reference)
        if !isJSON { Output.line(reference) }
        return reference
    }
}

/// Makes something of each and prints what there is of it; what goes wrong with one is said and does not keep the others
/// from being printed. A signal ends all.
func collect<Result: Encodable>(
    _ references: [String], asJSON isJSON: Bool, print: ([Result]) -> Void = { Output.json($0) },
    _ body: (String) throws -> Result
) throws {
    var results: [Result] = []
    var last: CommandFailure?
    for reference in references {
        do { results.append(try body(reference)) } catch {
            last?.report(asJSON: isJSON)
            last = CommandFailure(error)
            if last?.isInterruption == true { break }
        }
    }
    print(results)
    if let last { throw last }
}
