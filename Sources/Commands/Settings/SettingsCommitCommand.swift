import ApplianceSettings
import ArgumentParser
import Fleet

struct SettingsCommitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "commit", abstract: "Keep what the program of a running machine asks for.",
        discussion: """
            The program writes to \(MachineRemote.proposalPath), a change in each line: field=value, or -field. The schema decides, as it \
            does for `settings set`; what has become of it is in \(MachineRemote.answerPath) afterwards.

            Example:
              swiftlet exec fw sh -c 'echo mtu=1400 > \(MachineRemote.proposalPath)' && swiftlet settings commit fw
            """)
    @OptionGroup var confirmation: ConfirmationOptions
    @Option(
        help: ArgumentHelp("Which of the machines that run with these settings asks.", valueName: "machine"),
        completion: Completions.machines)
    var machine: String?
    @Argument(help: "The settings.", completion: Completions.settings) var name: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        let named = try SettingsCommand.store.settings(name)
        let commit = SettingsCommit(
            application: try SettingsApplication(named, confirmWithin: confirmation.confirmWithin),
            remote: MachineRemote(try asking(), store: Product.fleet.store))
        let (before, after) = try commit.run()
        SettingsCommand.report(name, after, after: before, asJSON: format.isJSON)
    }

    /// The one machine that runs with these settings, or that of them which was named.
    private func asking() throws -> MachineRecord {
        let machines = Product.fleet.store.machines(withSettings: name).filter { $0.state == .running }
        let wanted = try machine.map { try Product.fleet.store.find($0).id }
        let found = machines.filter { wanted == nil || $0.id == wanted }
        guard let first = found.first else {
            throw CommandFailure(
                "machine.not-running",
                "\(machine.map { "the machine \"\($0)\" does not run" } ?? "no machine runs") with the settings \(name)"
            )
        }
        guard found.count == 1 else {
            let names = found.map(\.name).sorted().joined(separator: ", ")
            throw CommandFailure(
                "machine.ambiguous",
                "several machines run with the settings \(name): \(names); say which one asks: --machine")
        }
        return first
    }
}

/// Keeps what a machine's program has written down, and answers it.
struct SettingsCommit {
    var application: SettingsApplication
    let remote: MachineRemote

    /// What the owner of a machine does when its guest asks. Nobody is told but the guest.
    static func answer(_ remote: MachineRemote) {
        var application: SettingsApplication
        do {
            try remote.store.checkMayCommit(remote.record)
            let named = try SettingsCommand.store.settings(remote.record.specification.settingsName ?? "")
            application = try SettingsApplication(named)
        } catch {
            return refuse(CommandFailure(error), remote)
        }
        application.isForGuest = true
        // The guest has its answer then, or cannot be reached.
        _ = try? SettingsCommit(application: application, remote: remote).run()
    }

    private static func refuse(_ failure: CommandFailure, _ remote: MachineRemote) {
        try? remote.answerProposal("refused \(failure.code)\n\(failure.message)", isTaken: false)
    }

    func run() throws -> (before: UInt64?, after: SettingsGeneration) {
        let name = application.named.name
        let outcome: (before: UInt64?, after: SettingsGeneration)
        do {
            guard let bytes = try remote.proposedSettings(limit: SettingsProposal.maximumBytes) else {
                throw CommandFailure(
                    "settings.nothing-proposed",
                    "the machine \"\(remote.record.name)\" asks for no change: nothing is in its \(MachineRemote.proposalPath)"
                )
            }
            let changes = try SettingsProposal.changes(bytes)
            outcome = try application.run { _, trial in
                try application.named.change(
                    confirmWithinSeconds: trial, forGuest: application.isForGuest
                ) { current throws(SettingsError) in try current.applying(changes) }
            }
        } catch {
            let failure = CommandFailure(error)
            // Who asked is told as well as who runs this, who learns it in any case.
            Self.refuse(failure, remote)
            throw failure
        }
        let (before, after) = outcome
        do {
            try remote.answerProposal(
                "\(before == after.number ? "unchanged" : "generation") \(after.number)", isTaken: true)
        } catch {
            throw CommandFailure(
                "settings.not-answered",
                "\(name) is generation \(after.number), as the machine asked, but it cannot be told: \(CommandFailure(error).message)"
            )
        }
        return outcome
    }
}

extension SettingsCommitRule: ExpressibleByArgument {}
