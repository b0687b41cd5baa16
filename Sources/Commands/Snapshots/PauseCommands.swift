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
        commandName: "resume", abstract: "Let machines go on that were paused.",
        discussion: """
            Each goes on with the next instruction. One that runs is left as it is.

            Example:
              swiftlet resume web
            """)

    @Argument(help: "Names or ids of machines.", completion: Completions.runningMachines) var machines: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        let store = Product.fleet.store
        try forEach(machines, asJSON: format.isJSON) { try MachineRemote(store.findRunning($0), store: store).resume() }
    }
}
