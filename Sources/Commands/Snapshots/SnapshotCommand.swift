import ArgumentParser
import Fleet

struct SnapshotCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshot",
        abstract: "Keep machines as they are at one moment: make, list, inspect, remove snapshots, and hand them on.",
        subcommands: [
            SnapshotCreateCommand.self, SnapshotListCommand.self, SnapshotInspectCommand.self,
            SnapshotRemoveCommand.self, SnapshotExportCommand.self, SnapshotImportCommand.self,
            SnapshotPushCommand.self, SnapshotPullCommand.self,
        ])

    static var store: SnapshotStore { SnapshotStore(Product.paths) }
}

struct SnapshotCreateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Write down a machine that runs: processors, memory and devices.",
        discussion: """
            The machine stands still meanwhile, and goes on afterwards. Its memory holds what its program knows, secrets
            included: the files can be read by their owner only. Disks and volumes that it writes to are copied. Machines with
            shared folders are refused. `clone` makes machines of a snapshot.

            Examples:
              swiftlet snapshot create web
              swiftlet snapshot create web before-upgrade
              swiftlet snapshot create --stop web
            """)

    @Flag(help: "End the machine from where the snapshot stands.") var stop = false
    @Flag(help: "Have each page of the memory checked before a clone sees it. Clones then share no memory.")
    var integrity = false
    @Argument(help: "A machine's name or id.", completion: Completions.runningMachines) var machine: String
    @Argument(help: "What the snapshot is to be called; the machine's name and a number if not given.") var name:
        String?
    @OptionGroup var format: FormatOptions

    func run() throws {
        let store = Product.fleet.store
        let record = try store.findRunning(machine)
        let made = try MachineRemote(record, store: store).makeSnapshot(name, ends: stop, isChecked: integrity)
        if format.isJSON { return Output.json(SnapshotDocument(made)) }
        Output.line(made.name)
    }
}

struct SnapshotListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List snapshots.", discussion: "Example:\n  swiftlet snapshot ls",
        aliases: ["ls"])
    @Flag(name: [.short, .long], help: "Print the ids only.") var quiet = false
    @OptionGroup var format: FormatOptions

    func run() throws {
        SnapshotCommand.store.removeLeftovers()
        let documents = SnapshotCommand.store.list().map(SnapshotDocument.init)
        if format.isJSON { return quiet ? Output.json(documents.map(\.id)) : Output.json(documents) }
        if quiet { return documents.forEach { Output.line($0.id) } }
        var table = Table("ID", "NAME", "MACHINE", "IMAGE", "MEMORY", "TAKES", "CREATED")
        for document in documents {
            table.add(
                document.id, document.name, document.machine, document.image, "\(document.memoryMebibytes) MiB",
                Units.size(document.usedBytes), Units.since(document.createdSeconds))
        }
        Output.line(table.text)
    }
}

struct SnapshotInspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Print all that is known about snapshots, as JSON.",
        discussion: "Example:\n  swiftlet snapshot inspect web-1")
    @Argument(help: "Names or ids.", completion: Completions.snapshots) var snapshots: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        try collect(snapshots, asJSON: format.isJSON) { SnapshotDocument(try SnapshotCommand.store.find($0)) }
    }
}

struct SnapshotRemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove snapshots.",
        discussion: "Example:\n  swiftlet snapshot rm web-1", aliases: ["rm"])
    @Argument(help: "Names or ids.", completion: Completions.snapshots) var snapshots: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        try forEach(snapshots, asJSON: format.isJSON) { try SnapshotCommand.store.remove($0) }
    }
}

/// A snapshot, for programs: names that stay.
struct SnapshotDocument: Encodable {
    var id: String
    var name: String
    var created: String
    /// The machine that it was made of, which may be gone.
    var machine: String
    var machineID: String
    var image: String
    var imageDigest: String
    var kernel: String
    var command: [String]
    var processors: Int
    var memoryMebibytes: Int
    var stateBytes: UInt64
    var memoryBytes: UInt64
    /// The disks that it writes to, which are copied with it.
    var diskBytes: UInt64
    /// What had been attached, and its clones have.
    var attached: [AttachmentDocument]
    /// Root of the memory's hash tree, by which clones check each page; missing where they do not.
    var memoryRoot: String?
    /// Whether the machine's program ran; otherwise clones start one.
    var runsProgram: Bool
    /// On this computer; memory that was never written to takes no room.
    var usedBytes: UInt64
    var path: String
    let createdSeconds: Int64

    enum CodingKeys: String, CodingKey {
        case id, name, created, machine, machineID, image, imageDigest, kernel, command, processors, memoryMebibytes
        case stateBytes, memoryBytes, diskBytes, attached, memoryRoot, runsProgram, usedBytes, path
    }

    init(_ record: SnapshotRecord) {
        let store = SnapshotCommand.store
        id = record.id
        name = record.name
        created = Timestamp.text(seconds: record.createdSeconds)
        createdSeconds = record.createdSeconds
        machine = record.machineName
        machineID = record.machineID
        image = record.specification.image
        imageDigest = record.specification.imageDigest
        kernel = record.specification.kernel
        command = record.specification.command
        processors = record.specification.processors
        memoryMebibytes = record.specification.memoryMebibytes
        stateBytes = record.stateBytes
        memoryBytes = record.memoryBytes
        diskBytes = record.disks.reduce(0) { $0 + $1.sizeBytes }
        attached = record.attachments.map(AttachmentDocument.init)
        memoryRoot = record.memoryRoot
        runsProgram = record.runsProgram
        usedBytes = store.usedBytes(record)
        path = store.path(record)
    }
}
