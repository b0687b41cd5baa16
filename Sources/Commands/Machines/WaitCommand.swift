import AgentClient
import ArgumentParser
import Fleet
import LinuxCalls

struct WaitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait", abstract: "Wait until machines have ended, and print their exit statuses.",
        discussion: """
            Each machine's is a line, 125 for one whose program has none. Of a machine that is forgotten as it ends (`--rm`)
            none is known. A machine that is run again by its restart policy has not ended. With --healthy this waits until
            machines are healthy instead, and prints their names.

            Examples:
              swiftlet wait job
              swiftlet wait --healthy --timeout 1m web
              status=$(swiftlet wait job)
            """)

    @Flag(help: "Wait until health checks have succeeded.") var healthy = false
    @Option(help: ArgumentHelp("Give up after that long, with status 124.", valueName: "time")) var timeout: String?
    @Argument(help: "Names or ids of machines.", completion: Completions.machines) var machines: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        let store = Product.fleet.store
        let isJSON = format.isJSON
        let deadline = Deadline(
            after: try timeout.map { .milliseconds(Int64(try Units.time($0, "--timeout") * 1000)) }
                ?? .seconds(Int64.max / 1000))
        let printed: ([MachineDocument]) -> Void = { if isJSON { Output.json($0) } }
        try collect(machines, asJSON: isJSON, print: printed) { (reference: String) -> MachineDocument in
            var record = try store.find(reference)
            while healthy ? !(try isHealthy(record, store)) : !record.state.isOver {
                guard !deadline.isOver else {
                    var failure = CommandFailure(
                        "wait.timeout",
                        "the machine \"\(record.name)\" is \(MachineDocument.state(record, store.health(record))) still"
                    )
                    failure.status = 124
                    throw failure
                }
                LinuxCalls.sleep(nanoseconds: 50_000_000)
                record = try store.find(record.id)
            }
            if healthy, !isJSON { Output.line(record.name) }
            if !isJSON, !healthy { Output.line("\(record.exitStatus ?? CommandFailure.exitStatus)") }
            return MachineDocument(record)
        }
    }

    /// - Throws: when it never will be.
    private func isHealthy(_ record: MachineRecord, _ store: MachineStore) throws -> Bool {
        guard record.specification.container.healthCheck != nil else {
            throw CommandFailure(
                "usage.health", "the machine \"\(record.name)\" has no health check; start it with --health-cmd")
        }
        guard !record.state.isOver else {
            throw FleetError(
                .notRunning, "the machine \"\(record.name)\" ended (\(record.failure ?? "its program did"))")
        }
        return record.state == .running && store.health(record)?.state == .healthy
    }
}
