import ArgumentParser
import Fleet

struct VolumeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "volume", abstract: "Make, list, inspect, check and remove disks that outlive machines.",
        subcommands: [
            VolumeCreateCommand.self, VolumeListCommand.self, VolumeInspectCommand.self, VolumeCheckCommand.self,
            VolumeRemoveCommand.self, VolumePruneCommand.self,
        ])

    static var store: VolumeStore { VolumeStore(Product.paths) }
}

struct VolumeCreateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make an empty volume.",
        discussion: """
            It takes room on this computer as it is filled. `run -v` makes one that is missing with the usual size.

            Examples:
              swiftlet volume create data
              swiftlet volume create --size 200G --label tier=slow archive
            """)

    @Option(help: ArgumentHelp("How much it can hold: 10G if not given.", valueName: "size")) var size: String?
    @Option(name: [.short, .long], help: ArgumentHelp("A label. May be repeated.", valueName: "name[=value]"))
    var label: [String] = []
    @Argument(help: "What it is to be called.") var name: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        let bytes = try size.map { try Units.bytes($0, "--size") } ?? VolumeStore.usualSizeBytes
        let record = try VolumeCommand.store.create(
            name, sizeBytes: bytes, labels: try ContainerOptions.labels(label))
        if format.isJSON { return Output.json(VolumeDocument(record)) }
        Output.line(name)
    }
}

struct VolumeListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List volumes.", discussion: "Example:\n  swiftlet volume ls", aliases: ["ls"])
    @Flag(name: [.short, .long], help: "Print the names only.") var quiet = false
    @OptionGroup var format: FormatOptions

    func run() throws {
        let documents = VolumeCommand.store.list().map(VolumeDocument.init)
        if format.isJSON { return quiet ? Output.json(documents.map(\.name)) : Output.json(documents) }
        if quiet { return documents.forEach { Output.line($0.name) } }
        var table = Table("NAME", "SIZE", "TAKES", "CREATED", "USED BY")
        for document in documents {
            table.add(
                document.name, Units.size(document.sizeBytes), Units.size(document.usedBytes),
                Units.since(document.createdSeconds), document.machines.joined(separator: ", "))
        }
        Output.line(table.text)
    }
}

struct VolumeInspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Print all that is known about volumes, as JSON.",
        discussion: "Example:\n  swiftlet volume inspect data")
    @Argument(help: "Names.", completion: Completions.volumeNames) var volumes: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        try collect(volumes, asJSON: format.isJSON) { VolumeDocument(try VolumeCommand.store.find($0)) }
    }
}

struct VolumeCheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Check a volume's file system, or repair it.",
        discussion: """
            Machines that died leave nothing to repair: the next one plays the journal back. This is for a volume that is
            refused as damaged. It runs e2fsck on what guests have written, with your rights on this computer.

            Examples:
              swiftlet volume check data
              swiftlet volume check --repair data
            """)
    @Flag(help: "Put right what is wrong; what cannot be put right may be lost.") var repair = false
    @Argument(help: "Its name.", completion: Completions.volumeNames) var volume: String
    @OptionGroup var format: ErrorFormatOptions

    func run() throws {
        let (isWhole, text) = try VolumeCommand.store.check(volume, repairs: repair)
        // A guest's names of files may stand in it.
        for line in text.split(whereSeparator: \.isNewline) { Output.line(Table.printable(String(line))) }
        if isWhole { return }
        throw CommandFailure(
            "volume.damaged",
            repair
                ? "the volume \"\(volume)\" could not be repaired"
                : "the volume \"\(volume)\" is not whole; `swiftlet volume check --repair \(volume)` puts it right")
    }
}

struct VolumeRemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove volumes, with all that is on them.",
        discussion: "Example:\n  swiftlet volume rm data", aliases: ["rm"])
    @Flag(name: [.short, .long], help: "Also one whose record cannot be read.") var force = false
    @Argument(help: "Names.", completion: Completions.volumeNames) var volumes: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        try forEach(volumes, asJSON: format.isJSON) { try VolumeCommand.store.remove($0, force: force) }
    }
}

struct VolumePruneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune", abstract: "Remove the volumes that no machine names, with all that is on them.",
        discussion: """
            A machine that has ended and is still on record keeps its volumes. Without --force nothing is removed: what
            would be is printed.

            Examples:
              swiftlet volume prune
              swiftlet volume prune --force
            """)
    @Flag(name: [.short, .long], help: "Remove them.") var force = false
    @OptionGroup var format: FormatOptions

    func run() throws {
        try Product.fleet.store.checkReadable()
        let names = VolumeCommand.store.list().map(VolumeDocument.init).filter { !$0.isNamed }.map(\.name)
        if force { return try forEach(names, asJSON: format.isJSON) { try VolumeCommand.store.remove($0) } }
        if format.isJSON { return Output.json(names) }
        names.forEach(Output.line)
        if !names.isEmpty { Output.error("swiftlet: nothing was removed; --force removes these") }
    }
}

/// A volume, for programs: names that stay.
struct VolumeDocument: Encodable {
    var name: String
    var sizeBytes: UInt64
    /// On this computer.
    var usedBytes: UInt64
    var created: String
    var labels: [String: String]
    var diskPath: String
    /// Whether somebody uses it at this moment.
    var isInUse: Bool
    /// The machines that do.
    var machines: [String]
    /// Whether a machine names it, one that has ended included.
    let isNamed: Bool
    let createdSeconds: Int64

    enum CodingKeys: String, CodingKey {
        case name, sizeBytes, usedBytes, created, labels, diskPath, isInUse, machines
    }

    init(_ record: VolumeRecord) {
        let store = VolumeCommand.store
        name = record.name
        sizeBytes = record.sizeBytes
        usedBytes = store.usedBytes(record.name)
        created = Timestamp.text(seconds: record.createdSeconds)
        createdSeconds = record.createdSeconds
        labels = record.labels
        diskPath = store.disk(record.name)
        isInUse = store.isInUse(record.name)
        let users = Product.fleet.store.list().filter { machine in
            machine.specification.container.volumes.contains { $0.name == record.name }
        }
        isNamed = !users.isEmpty || isInUse
        machines = users.filter { !$0.state.isOver }.map(\.name)
    }
}
