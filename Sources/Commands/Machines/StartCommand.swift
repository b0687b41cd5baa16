import AgentClient
import ArgumentParser
import Fleet
import LinuxCalls

struct StartCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start", abstract: "Run machines again that have ended, in the background.",
        discussion: """
            Each is what it was made as: image, program, volumes, limits; what its program wrote to its root is gone, its log goes
            on. A clone begins where its snapshot stands, a suspended machine where it was. It is named when its program runs. A machine that runs is left as it is. What was handed in (--secret,
            --file) is written nowhere, so hand it in again.

            Examples:
              swiftlet start web
              swiftlet start --secret password=./password.txt db
            """)

    @OptionGroup var handedIn: HandedInOptions
    @Argument(help: "Names or ids of machines.", completion: Completions.machines) var machines: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        // Before any thread is started.
        let signals = try SignalWatcher()
        let files = try handedIn.files()
        try forEach(machines, asJSON: format.isJSON) { reference in
            try Self.begin(reference, handingIn: files, signals)
        }
    }

    /// Runs a machine that has ended, in the background. One that runs is left as it is.
    static func begin(_ reference: String, handingIn files: [HandedInFile] = [], _ signals: SignalWatcher) throws {
        let fleet = Product.fleet
        var record = try fleet.store.find(reference)
        if let settled = try fleet.settle(record, executable: Product.executable, signals: signals, handingIn: files) {
            if settled.isBegun { return }
            record = try fleet.store.find(record.id)
        }
        guard record.state.isOver else { return }
        try Policies.admit(record.specification)
        try fleet.checkSettings(of: record.specification)
        guard let machine = try fleet.reopen(record, handingIn: files) else { return }
        try fleet.runInBackground(machine, executable: Product.executable, signals: signals, handingIn: files)
    }
}
