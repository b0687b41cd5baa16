import AgentClient
import ArgumentParser
import Fleet

struct CloneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clone", abstract: "Make machines that go on where a snapshot stands.",
        discussion: """
            Each is a machine of its own before its program's next instruction: name, host name, machine id, hardware and network
            addresses, vsock number, randomness, clock, and disks. It runs in the background; its id is printed when its program
            goes on. Programs learn of it by /run/swiftlet/generation, and by hooks in /etc/swiftlet/cloned.d. Who ends the command
            keeps the clones whose ids were printed; the others are removed.

            Examples:
              swiftlet clone web-1
              swiftlet clone web-1 --count 3 --name worker     (worker-1, worker-2, worker-3)
              swiftlet clone web-1 --rm --network tap
            """)

    @OptionGroup var clones: CloneArguments
    @Argument(help: "A snapshot's name or id.", completion: Completions.snapshots) var snapshot: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        // Before any thread is started.
        let signals = try SignalWatcher()
        let options = try clones.options()
        let record = try SnapshotCommand.store.find(snapshot)
        try Policies.admit(record.specification)
        try CloneStart(asJSON: format.isJSON, signals).run(options) { try Product.fleet.makeClone(of: record, $0) }
    }
}

struct ForkCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fork", abstract: "Make machines that go on where a running machine is.",
        discussion: """
            The machine itself stands still for some milliseconds, and goes on; one that writes to disks stands still until these
            are copied. The others are machines of their own, as those of `clone`. No snapshot is kept. Who ends the command keeps
            the machines whose ids were printed; the others are removed.

            Examples:
              swiftlet fork web
              swiftlet fork web --count 2 --name try
            """)

    @OptionGroup var clones: CloneArguments
    @Argument(help: "A machine's name or id.", completion: Completions.runningMachines) var machine: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        // Before any thread is started.
        let signals = try SignalWatcher()
        let options = try clones.options()
        let store = Product.fleet.store
        let remote = MachineRemote(try store.findRunning(machine), store: store)
        try Policies.admit(remote.record.specification)
        var made = try remote.fork(options, ends: signals).makeIterator()
        try CloneStart(asJSON: format.isJSON, signals).run(options) { _ in made.next() }
    }
}

/// What `clone` and `fork` have in common.
struct CloneArguments: ParsableArguments {
    static let most = 10_000

    @Option(help: ArgumentHelp("How many.", valueName: "number")) var count = 1
    @Option(
        help: ArgumentHelp(
            "What it is called; of several, the name and a number each. A name is made up if none is given.",
            valueName: "name")) var name: String?
    @Option(help: ArgumentHelp("The machine's own name for itself; its name if not given.", valueName: "name"))
    var hostname: String?
    @Option(
        help: ArgumentHelp(
            "In the place of the original's, as many as it has: tap, or tap:NAME,address=A/N[,gateway=A]. May be repeated.",
            valueName: "network"), completion: Completions.networks)
    var network: [String] = []
    @Flag(name: .customLong("rm"), help: "Forget the machine when it ends.") var removesItself = false

    func validate() throws {
        guard (1...Self.most).contains(count) else {
            throw ValidationError("\(count) clones cannot be made at once; give 1 to \(Self.most) (--count)")
        }
        guard count == 1 || !network.contains(where: { $0.hasPrefix("tap:") }) else {
            throw ValidationError(
                "several machines cannot share one TAP device; use --network tap, or make them one by one")
        }
    }

    func options() throws -> [CloneOptions] {
        var options = CloneOptions()
        options.hostName = hostname
        options.removesItself = removesItself
        if !network.isEmpty { options.interfaces = try MachineInterface.list(parsing: network) }
        return (1...count).map { number in
            var each = options
            each.name = count == 1 ? name : name.map { "\($0)-\(number)" }
            return each
        }
    }
}
