import ArgumentParser
import Fleet

struct SetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Change what machines may use, while they run.",
        discussion: """
            What is named is changed at once and kept for the next start; the rest stays as it is. `none` or 0 lifts a limit.
            A machine that does not run is only written down. Less memory than the machine has goes back to this computer, as far
            as the guest can spare it; more than it began with, up to what `run --memory-max` said, is plugged into the guest. `none`
            gives it what it began with.

            Examples:
              swiftlet set --cpus 0.5 --memory 128M web
              swiftlet set --memory 768M cache
              swiftlet set --disk-bandwidth 10M --disk-ops 500,burst=2000 database
              swiftlet set --disk-bandwidth vdb=none --network-out eth0=1M web
              swiftlet set --cpus none --memory none --disk-bandwidth none web
            """)

    @Option(help: ArgumentHelp("How many of its processors' time it may use: 0.5, 2.", valueName: "number"))
    var cpus: String?
    @Option(
        name: [.short, .long],
        help: ArgumentHelp("How much memory it may use: 128M, 1G.", valueName: "size"))
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
            let bar = ProgressBar(saysPhases: false)
            let outcome = try MachineRemote.setLimits(
                of: reference, in: store, waitsForMemory: memory != nil,
                progress: { done, all in
                    bar.show(
                        "memory of \(reference)", done: Double(done) / Double(all), detail: "\(done) of \(all) MiB")
                }
            ) { wanted, record in
                let specification = record.specification
                if let cpus { try wanted.setProcessors(cpus, of: specification.processors) }
                if let memory { wanted.memoryMebibytes = try Self.memory(memory, of: record) }
                try limits.change(&wanted, of: specification, attached: store.attachments(of: record))
            }
            bar.finish()
            guard outcome.untakenMebibytes == 0 else {
                throw CommandFailure(
                    "limits.memory-not-taken",
                    "the guest of \(reference) has not taken \(outcome.untakenMebibytes) MiB of what it was given, and takes them when it can; "
                        + "a kernel without virtio-mem never does (the kernel \"swiftlet\" has it: swiftlet update --kernel swiftlet \(reference))"
                )
            }
            if outcome.keptMebibytes > 0 {
                Output.error(
                    "swiftlet: \(reference) uses its memory: it keeps \(outcome.keptMebibytes) MiB more than it is to have; give the same command again when its programs have freed it; what its kernel itself has there it leaves when it boots anew"
                )
            }
            if outcome.missingMebibytes > 0, outcome.keptMebibytes == 0 {
                Output.error(
                    "swiftlet: \(reference) uses its memory: \(outcome.missingMebibytes) MiB less have been given back up to now; the rest follows as its programs free it"
                )
            }
        }
    }

    /// Nil for all that it has.
    private static func memory(_ text: String, of record: MachineRecord) throws -> Int? {
        if text == "none" || text == "0" { return nil }
        guard let mebibytes = Units.mebibytes(text) else {
            throw CommandFailure("usage.memory", "\"\(text)\" is no size; write it as 512M, 2G or none")
        }
        let whole = record.specification.wholeMebibytes(mebibytes)
        if whole != mebibytes, whole <= record.specification.memoryMaximumMebibytes ?? 0 {
            Output.error("swiftlet: \(record.name) gets \(whole) MiB, for memory is plugged in blocks of 2 MiB")
        }
        return whole == record.specification.memoryMebibytes ? nil : whole
    }
}
