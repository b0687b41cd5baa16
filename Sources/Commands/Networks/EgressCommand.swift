import ArgumentParser
import FabricProtocol
import Fleet

struct EgressCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "egress", abstract: "What machines may reach outside of their networks.",
        discussion: """
            A machine with rules opens connections to what they name, and to nothing else outside of its networks; names that it may
            not reach are not answered. A domain stands for all names below it, too. Each change counts at once, also for connections
            that are open. `run --egress` says the same when a machine is made.

            Examples:
              swiftlet egress set agent api.example.com:443 10.20.0.0/16
              swiftlet egress add agent pypi.org:443 files.pythonhosted.org:443
              swiftlet egress log --follow agent
              swiftlet egress set agent none
              swiftlet egress clear agent
            """,
        subcommands: [
            EgressSetCommand.self, EgressAddCommand.self, EgressRemoveCommand.self, EgressClearCommand.self,
            EgressListCommand.self, EgressLogCommand.self,
        ])

    static let form = "domain|address[/length][:port[-port]][/tcp|/udp]"
}

struct EgressSetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Have a machine reach this, and nothing else.",
        discussion: """
            Examples:
              swiftlet egress set agent api.example.com:443
              swiftlet egress set agent none
            """)

    @Argument(help: "The machine's name or id.", completion: Completions.machines) var machine: String
    @Argument(help: ArgumentHelp("What it may reach; none for nothing.", valueName: EgressCommand.form))
    var rules: [String]
    @OptionGroup var format: ErrorFormatOptions

    func run() throws {
        let wanted = try EgressRule.list(written: rules)
        try MachineRemote.setEgress(of: machine, in: Product.fleet.store) { rules, _ in rules = wanted }
    }
}

struct EgressAddCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Have a machine that has rules reach something more.",
        discussion: """
            Examples:
              swiftlet egress add agent pypi.org:443
            """)

    @Argument(help: "The machine's name or id.", completion: Completions.machines) var machine: String
    @Argument(help: ArgumentHelp("What else it may reach.", valueName: EgressCommand.form)) var rules: [String]
    @OptionGroup var format: ErrorFormatOptions

    func run() throws {
        let more = try rules.map { try EgressRule(written: $0) }
        try MachineRemote.setEgress(of: machine, in: Product.fleet.store) { rules, record in
            guard let present = rules else { throw EgressCommand.unlimited(record) }
            rules = present + more.filter { !present.contains($0) }
        }
    }
}

struct EgressRemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Have a machine that has rules reach something no more.",
        discussion: """
            Examples:
              swiftlet egress remove agent pypi.org:443
            """,
        aliases: ["rm"])

    @Argument(help: "The machine's name or id.", completion: Completions.machines) var machine: String
    @Argument(help: ArgumentHelp("What it may reach no more.", valueName: EgressCommand.form)) var rules: [String]
    @OptionGroup var format: ErrorFormatOptions

    func run() throws {
        let gone = try rules.map { try EgressRule(written: $0) }
        try MachineRemote.setEgress(of: machine, in: Product.fleet.store) { rules, record in
            guard let present = rules else { throw EgressCommand.unlimited(record) }
            for rule in gone where !present.contains(rule) {
                let list = present.map(\.description).joined(separator: ", ")
                throw CommandFailure(
                    "network.unknown",
                    "\(rule) is no rule of the machine \"\(record.name)\"; "
                        + (present.isEmpty ? "it has none" : "these are: \(list)"))
            }
            rules = present.filter { !gone.contains($0) }
        }
    }
}

struct EgressClearCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clear", abstract: "Have a machine reach whatever its networks let it.",
        discussion: """
            Examples:
              swiftlet egress clear agent
            """)

    @Argument(help: "The machine's name or id.", completion: Completions.machines) var machine: String
    @OptionGroup var format: ErrorFormatOptions

    func run() throws {
        try MachineRemote.setEgress(of: machine, in: Product.fleet.store) { rules, _ in rules = nil }
    }
}

struct EgressListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List what machines that have rules may reach.",
        discussion: """
            Examples:
              swiftlet egress ls
              swiftlet egress ls --json agent
            """,
        aliases: ["ls"])

    @Argument(help: "A machine's name or id.", completion: Completions.machines) var machine: String?
    @OptionGroup var format: FormatOptions

    private struct Document: Encodable {
        var machine: String
        /// Nil: whatever its networks let it.
        var rules: [String]?
    }

    func run() throws {
        let store = Product.fleet.store
        let machines =
            try machine.map { [try store.find($0)] } ?? store.list().filter { $0.specification.egress != nil }
        if format.isJSON {
            return Output.json(
                machines.map { Document(machine: $0.name, rules: $0.specification.egress?.map(\.description)) })
        }
        var table = Table("MACHINE", "MAY REACH")
        for machine in machines {
            let rules = machine.specification.egress?.map(\.description)
            table.add(machine.name, rules.map { $0.isEmpty ? "nothing" : $0.joined(separator: ", ") } ?? "everything")
        }
        Output.line(table.text)
    }
}

extension EgressCommand {
    static func unlimited(_ record: MachineRecord) -> CommandFailure {
        CommandFailure(
            "network.unknown",
            "the machine \"\(record.name)\" has no rules, and reaches whatever its networks let it; begin with swiftlet egress set \(record.name) RULE"
        )
    }
}
