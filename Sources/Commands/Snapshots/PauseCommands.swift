import AgentClient
import ArgumentParser
import Fleet

struct PauseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Have machines stand still.",
        discussion: """
            Their processors stop between two instructions and take no time; their memory stays. Connections wait, as far as
            those at the other end do. `stop` lets a paused machine go on first, `kill` ends it as it is.

            Examples:
              swiftlet pause web
              swiftlet resume web
            """)

    @Argument(help: "Names or ids of machines.", completion: Completions.runningMachines) var machines: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        let store = Product.fleet.store
        try forEach(machines, asJSON: format.isJSON) { try MachineRemote(store.findRunning($0), store: store).pause() }
    }
}

struct ResumeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Let machines go on that were paused or suspended.",
        discussion: """
            Each goes on with the next instruction; one that was suspended does so in the background. One that runs is left as it
            is.

            Examples:
              swiftlet resume web
              swiftlet resume --discard web    (forget where it was suspended, and boot)
            """)

    @Flag(help: "Forget where a suspended machine was, and begin it anew.") var discard = false
    @Argument(help: "Names or ids of machines.", completion: Completions.machines) var machines: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        // Before any thread is started.
        let signals = try SignalWatcher()
        let store = Product.fleet.store
        try forEach(machines, asJSON: format.isJSON) { reference in
            let record = try store.find(reference)
            guard record.state == .suspended else {
                return try MachineRemote(store.findRunning(reference), store: store).resume()
            }
            if discard { try store.discardSuspension(of: record) }
            try StartCommand.begin(record.id, signals)
        }
    }
}

struct SuspendCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "suspend", abstract: "Write machines down as they stand, and end them until they are resumed.",
        discussion: """
            Takes no memory and no processor until `resume`, which lets the program go on where it was, with the clock set and
            connections to outside broken. Outlives a restart of this computer. The disks that it writes to must be left alone
            meanwhile. `start` resumes it, too; `rm` forgets it.

            Examples:
              swiftlet suspend web
              swiftlet resume web
            """)

    @Argument(help: "Names or ids of machines.", completion: Completions.runningMachines) var machines: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        let store = Product.fleet.store
        try forEach(machines, asJSON: format.isJSON) { reference in
            try MachineRemote(store.findRunning(reference), store: store).suspend()
        }
    }
}
