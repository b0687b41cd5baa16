import AgentClient
import ArgumentParser
import Fleet

struct RollbackCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback", abstract: "Make a machine what it was before its last update.",
        discussion: """
            The image, what it says, kernel and memory are those of before; volumes stay as they are. What the machine was until
            now can be gone back to the same way. It is not watched: what was wanted is what is there. `swiftlet inspect` shows
            both.

            Examples:
              swiftlet rollback web
              swiftlet rollback --dry-run web
            """)

    @Flag(name: [.customShort("n"), .long], help: "Only say what would be done.") var dryRun = false
    @OptionGroup(title: "What was handed in must be again") var handedIn: HandedInOptions
    @Argument(help: "A name or id of a machine.", completion: Completions.machines) var machine: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        // Before any thread is started.
        let signals = try SignalWatcher()
        let store = Product.fleet.store
        let record = try store.find(machine)
        guard let previous = try store.versions(record).previous else {
            throw FleetError(
                .noPrevious, "the machine \"\(record.name)\" has not been updated, so there is nothing to go back to")
        }
        try Policies.admit(previous)
        let document = UpdateDocument(record, to: previous)
        if dryRun {
            if format.isJSON { return Output.json([document]) }
            for line in document.lines { Output.line(Table.printable(line)) }
            return
        }
        let session = UpdateSession(isJSON: format.isJSON, signals: signals, files: try handedIn.files())
        try session.run(.rollback, record, document, nil)
    }
}
