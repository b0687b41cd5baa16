import ArgumentParser
import Fleet
import LinuxCalls

struct WaitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait", abstract: "Wait until machines have ended, and print their exit statuses.",
        discussion: """
            Each machine's is a line, 125 for one whose program has none. Of a machine that is forgotten as it ends (`--rm`)
            none is known.

            Examples:
              swiftlet wait job
              status=$(swiftlet wait job)
            """)

    @Argument(help: "Names or ids of machines.", completion: Completions.machines) var machines: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        let store = Product.fleet.store
        let isJSON = format.isJSON
        let printed: ([MachineDocument]) -> Void = { if isJSON { Output.json($0) } }
        try collect(machines, asJSON: isJSON, print: printed) { (reference: String) -> MachineDocument in
            var record = try store.find(reference)
            while !record.state.isOver {
                LinuxCalls.sleep(nanoseconds: 50_000_000)
                record = try store.find(record.id)
            }
            if !isJSON { Output.line("\(record.exitStatus ?? CommandFailure.exitStatus)") }
            return MachineDocument(record)
        }
    }
}
