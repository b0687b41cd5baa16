import AgentClient
import ArgumentParser
import Fleet
import LinuxCalls

struct RestoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Bring machines back: after their owner was killed, or this computer restarted.",
        discussion: """
            Those that their restart policy wants to run are begun again, the oldest first; what their owners left is ended
            before. Who runs is left alone, so this can be repeated. A machine that was stopped stays so; with the policy
            `always` it comes back when this computer has been started anew. --systemd prints a unit that does this at each start
            of the computer, and installs nothing.

            Examples:
              swiftlet restore
              swiftlet restore --dry-run
              swiftlet restore --systemd > ~/.config/systemd/user/swiftlet-restore.service
            """)

    @Flag(name: [.customShort("n"), .long], help: "Only say what would be begun again.") var dryRun = false
    @Flag(help: "Print a unit for systemd: of the system for root, otherwise of this user.") var systemd = false
    @OptionGroup var format: FormatOptions

    func run() throws {
        if systemd { return Output.line(try RestoreUnit.present().text) }
        // Before any thread is started.
        let signals = try SignalWatcher()
        let fleet = Product.fleet
        try fleet.store.checkReadable()
        try fleet.store.checkTrusted()
        if !dryRun { fleet.store.cleanLeftovers() }
        fleet.awaitEndsWithHost()
        var document = RestoreDocument(isDryRun: dryRun)
        var last: CommandFailure?
        machines: for record in fleet.store.list().reversed() {
            let entry = RestoreDocument.Machine(id: record.id, name: record.name)
            var record = record
            do {
                switch try putRight(record, fleet, signals) {
                case .nothing: break
                case .isBegun(let reason):
                    document.started.append(entry.because(reason))
                    if !format.isJSON { Output.line(dryRun ? "would put \(record.name) right" : record.name) }
                    continue
                case .rests: record = try fleet.store.find(record.id)
                }
            } catch {
                last?.report(asJSON: format.isJSON)
                let failure = CommandFailure(error)
                last = CommandFailure(failure.code, "\(record.name): \(failure.message)")
                document.failed.append(entry.because(failure.message))
                continue
            }
            switch fleet.restoration(of: record) {
            case .runs: document.running.append(entry)
            case .stays(let reason): document.ended.append(entry.because(reason))
            case .begins(let reason):
                do {
                    if !dryRun { try begin(record, because: reason, fleet, signals) }
                    document.started.append(entry.because(reason))
                    if !format.isJSON { Output.line(dryRun ? "would start \(record.name)" : record.name) }
                } catch {
                    last?.report(asJSON: format.isJSON)
                    let failure = CommandFailure(error)
                    last = CommandFailure(failure.code, "\(record.name): \(failure.message)")
                    document.failed.append(entry.because(failure.message))
                    // Somebody wants this to end, and no machine more to begin.
                    if failure.status > 128 { break machines }
                }
            }
        }
        for id in fleet.store.listDamaged() {
            last?.report(asJSON: format.isJSON)
            last = CommandFailure(
                "machine.damaged-record",
                "the record of the machine \(id) cannot be read; `swiftlet rm --force \(id)` removes it")
            document.failed.append(.init(id: id, name: id, reason: "its record cannot be read"))
        }
        if format.isJSON { Output.json(document) }
        if let last { throw last }
    }

    private enum PutRight {
        case nothing
        case isBegun(reason: String)
        case rests
    }

    /// An update that was interrupted leaves a machine that nobody has judged.
    private func putRight(
        _ record: MachineRecord, _ fleet: MachineFleet, _ signals: SignalWatcher
    ) throws -> PutRight {
        guard let attempt = try fleet.store.versions(record).attempt else { return .nothing }
        let reason = "its \(attempt.kind.rawValue) was interrupted; it is made of \(attempt.survivor.image)"
        if dryRun { return .isBegun(reason: reason) }
        let settled: SettledUpdate?
        do { settled = try fleet.settle(record, executable: Product.executable, signals: signals) } catch let error
            as FleetError where error.code == .busy
        {
            // Somebody is at it.
            return .nothing
        }
        guard let settled else { return .rests }
        if let failure = settled.failure { throw FleetError(.notBegunAgain, failure) }
        return settled.isBegun ? .isBegun(reason: reason) : .rests
    }

    private func begin(
        _ record: MachineRecord, because reason: String, _ fleet: MachineFleet, _ signals: SignalWatcher
    ) throws {
        try Policies.admit(record.specification)
        try fleet.checkSettings(of: record.specification)
        // Somebody else may have been faster.
        guard let machine = try fleet.reopen(record, because: reason) else { return }
        try fleet.runInBackground(machine, executable: Product.executable, signals: signals)
    }
}

/// For programs: names that stay.
struct RestoreDocument: Encodable {
    struct Machine: Encodable {
        var id: String
        var name: String
        var reason: String?

        func because(_ reason: String) -> Machine { Machine(id: id, name: name, reason: reason) }
    }

    var isDryRun: Bool
    /// Or those that would be.
    var started: [Machine] = []
    var running: [Machine] = []
    /// Those that stay as they are.
    var ended: [Machine] = []
    var failed: [Machine] = []
}
