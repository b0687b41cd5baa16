import ArgumentParser
import Fleet

struct PsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ps", abstract: "List machines.",
        discussion: """
            Examples:
              swiftlet ps
              swiftlet ps --all
              swiftlet ps --json
            """)

    @Flag(name: [.short, .long], help: "Show those that have ended, too.") var all = false
    @Flag(name: [.short, .long], help: "Print the ids only.") var quiet = false
    @OptionGroup var format: FormatOptions

    func run() throws {
        let store = Product.fleet.store
        try store.checkReadable()
        let machines = store.list().filter { all || !$0.state.isOver }
        if format.isJSON, quiet { return Output.json(machines.map(\.id)) }
        if format.isJSON { return Output.json(machines.map(MachineDocument.init)) }
        if quiet { return machines.forEach { Output.line($0.id) } }
        var table = Table("ID", "NAME", "IMAGE", "COMMAND", "CREATED", "STATE")
        for machine in machines {
            let command = machine.specification.command.joined(separator: " ")
            table.add(
                machine.id, machine.name, machine.specification.image,
                command.count > 30 ? command.prefix(29) + "…" : command, Units.since(machine.createdSeconds),
                MachineDocument.state(machine))
        }
        Output.line(table.text)
    }
}

/// A machine, for programs: names that stay.
struct MachineDocument: Encodable {
    var id: String
    var name: String
    var state: MachineState
    var image: String
    var imageDigest: String
    var kernel: String
    var command: [String]
    var environment: [String]
    var user: String
    var workingDirectory: String
    var processors: Int
    var memoryMebibytes: Int
    var disks: [MachineSpecification.Disk]
    var network: String
    /// The guest's, with its prefix, where this side gave it one.
    var address: String?
    /// The host's on the same network, where it was made for the machine.
    var hostAddress: String?
    var created: String
    var started: String?
    var ended: String?
    var exitStatus: Int32?
    var failure: String?
    var ownerProcess: Int32
    var monitorProcess: Int32?
    var isEmulated: Bool
    var socketPath: String
    var outputLog: String
    var consoleLog: String

    init(_ record: MachineRecord) {
        let specification = record.specification
        let store = Product.fleet.store
        id = record.id
        name = record.name
        state = record.state
        image = specification.image
        imageDigest = specification.imageDigest
        kernel = specification.kernel
        command = specification.command
        environment = specification.environment
        user = specification.user
        workingDirectory = specification.workingDirectory
        processors = specification.processors
        memoryMebibytes = specification.memoryMebibytes
        disks = specification.disks
        network =
            switch specification.network {
            case .none: "none"
            case .tap(let name, _, _): "tap:\(name)"
            case .ownTap: "tap"
            }
        address = record.guestAddress?.description
        hostAddress = record.ownNetwork?.host.description
        created = Timestamp.text(seconds: record.createdSeconds)
        started = record.startedSeconds.map(Timestamp.text(seconds:))
        ended = record.endedSeconds.map(Timestamp.text(seconds:))
        exitStatus = record.exitStatus
        failure = record.failure
        ownerProcess = record.ownerProcess
        monitorProcess = record.monitorProcess
        isEmulated = record.isEmulated
        socketPath = record.socketPath
        outputLog = store.outputLog(record)
        consoleLog = store.consoleLog(record)
    }

    static func state(_ record: MachineRecord) -> String {
        switch record.state {
        case .starting: "starting"
        case .running: "running"
        case .exited: "exited (\(record.exitStatus ?? 0)) \(Units.since(record.endedSeconds))"
        case .failed: "failed \(Units.since(record.endedSeconds))"
        }
    }
}
