import ArgumentParser
import Fleet

struct SetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Change what machines may use, while they run.",
        discussion: """
            What is named is changed at once and kept for the next start; the rest stays as it is. `none` or 0 lifts a limit.
            A machine that does not run is only written down. Limits of memory give memory back to this computer, as far as
            the guest can spare it, and up to its size again.

            Examples:
              swiftlet set --cpus 0.5 --memory 128M web
              swiftlet set --disk-bandwidth 10M --disk-ops 500,burst=2000 database
              swiftlet set --disk-bandwidth vdb=none --network-out eth0=1M web
              swiftlet set --cpus none --memory none --disk-bandwidth none web
            """)

    @Option(help: ArgumentHelp("How many of its processors' time it may use: 0.5, 2.", valueName: "number"))
    var cpus: String?
    @Option(
        name: [.short, .long],
        help: ArgumentHelp("How much of its memory it may use: 128M, 1G.", valueName: "size"))
    var memory: String?
    @OptionGroup var limits: LimitOptions
    @Argument(help: "Names or ids of machines.", completion: Completions.machines) var machines: [String]
    @OptionGroup var format: FormatOptions

    func validate() throws {
        guard cpus != nil || memory != nil || limits.areGiven else {
            throw ValidationError(
                "say what is to change: --cpus, --memory, --disk-bandwidth …; see `swiftlet set --help`")
        }
    }

    func run() throws {
        let store = Product.fleet.store
        try forEach(machines, asJSON: format.isJSON) { reference in
            let outcome = try MachineRemote.setLimits(of: reference, in: store) { wanted, record in
                let specification = record.specification
                if let cpus { try wanted.setProcessors(cpus, of: specification.processors) }
                if let memory { wanted.memoryMebibytes = try Self.memory(memory, of: specification) }
                try limits.change(&wanted, of: specification, attached: store.attachments(of: record))
            }
            if outcome.missingMebibytes > 0 {
                Output.error(
                    "swiftlet: \(reference) uses its memory: \(outcome.missingMebibytes) MiB less have been given back up to now; the rest follows as its programs free it"
                )
            }
        }
    }

    /// Nil for all that it has.
    private static func memory(_ text: String, of specification: MachineSpecification) throws -> Int? {
        if text == "none" || text == "0" { return nil }
        guard let mebibytes = Units.mebibytes(text) else {
            throw CommandFailure("usage.memory", "\"\(text)\" is no size; write it as 512M, 2G or none")
        }
        return mebibytes == specification.memoryMebibytes ? nil : mebibytes
    }
}
