import ArgumentParser
import Fleet

struct PsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ps", abstract: "List machines.",
        discussion: """
            Examples:
              swiftlet ps
              swiftlet ps --all
              swiftlet ps --filter health=unhealthy --filter label=tier=web
              swiftlet ps --json
            """)

    @Flag(name: [.short, .long], help: "Show those that have ended, too.") var all = false
    @Flag(name: [.short, .long], help: "Print the ids only.") var quiet = false
    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "Only machines with that name, state, health, volume, or label (label=NAME or label=NAME=VALUE). May be repeated.",
            valueName: "key=value"))
    var filter: [String] = []
    @OptionGroup var format: FormatOptions

    func run() throws {
        let store = Product.fleet.store
        try store.checkReadable()
        let filters = try filter.map { try MachineFilter(parsing: $0) }
        let machines = store.list().filter { machine in
            (all || !machine.state.isOver) && filters.allSatisfy { $0.matches(machine, store) }
        }
        if format.isJSON, quiet { return Output.json(machines.map(\.id)) }
        if format.isJSON { return Output.json(machines.map(MachineDocument.init)) }
        if quiet { return machines.forEach { Output.line($0.id) } }
        // Most machines have none.
        let hasPorts = machines.contains { !Self.ports($0).isEmpty }
        var table = Table(["ID", "NAME", "IMAGE", "COMMAND", "CREATED", "STATE"] + (hasPorts ? ["PORTS"] : []))
        for machine in machines {
            let command = machine.specification.command.joined(separator: " ")
            table.add(
                [
                    machine.id, machine.name, machine.specification.image,
                    command.count > 30 ? command.prefix(29) + "…" : command, Units.since(machine.createdSeconds),
                    MachineDocument.state(machine, store.health(machine)) + Self.change(machine, store),
                ] + (hasPorts ? [Self.ports(machine)] : []))
        }
        Output.line(table.text)
    }

    /// Those of this computer that lead to it, and those that the program only names.
    private static func ports(_ machine: MachineRecord) -> String {
        let specification = machine.specification
        return (specification.published.map(\.description) + specification.container.exposedPorts)
            .joined(separator: ", ")
    }

    /// What is under way with its image, or was interrupted.
    private static func change(_ machine: MachineRecord, _ store: MachineStore) -> String {
        guard let attempt = (try? store.versions(machine))?.attempt else { return "" }
        return ", \(attempt.kind.rawValue) to \(attempt.to.image) not done"
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
    /// What it can be given while it runs, where that is more.
    var memoryMaximumMebibytes: Int?
    var disks: [MachineSpecification.Disk]
    var interfaces: [InterfaceDocument]
    /// Ports of this computer that lead to it when it runs.
    var publishedPorts: [PublishedDocument]
    /// What it may reach outside of its networks, as `egress` takes it; nil: everything that they let it.
    var egress: [String]?
    var created: String
    var started: String?
    var ended: String?
    var exitStatus: Int32?
    var failure: String?
    /// Of the image's disk, as far as the guest has met it.
    var imageDamage: ImageDamage?
    /// Of its disks that this computer could not read or write.
    var diskFailures: [DiskFailure]?
    var ownerProcess: Int32
    var monitorProcess: Int32?
    var isEmulated: Bool
    var socketPath: String
    var outputLog: String
    var consoleLog: String
    var hostName: String
    var stopSignal: String
    var stopTimeoutSeconds: Double
    var restartPolicy: String
    var restartCount: Int
    /// The last ten.
    var restarts: [RestartDocument]
    var healthCheck: HealthCheck?
    var whenUnhealthy: String
    var health: HealthReport?
    var exposedPorts: [String]
    var imageVolumes: [String]
    var volumes: [VolumeAttachment]
    var folders: [SharedFolder]
    var labels: [String: String]
    /// Where the files lie that were handed in; what is in them is written nowhere.
    var handedIn: [String]
    var groups: [String]
    var isReadOnly: Bool
    var temporaryFolders: [TemporaryFolder]
    var hostEntries: [ContainerSettings.HostAddress]
    var nameServers: [String]
    var searchDomains: [String]
    /// What `rollback` goes back to.
    var previous: VersionDocument?
    /// How far a change has come that is not done, and may have been interrupted.
    var update: AttemptDocument?
    var lastUpdate: UpdateNoteDocument?
    var settings: String?
    var appliance: MachineAppliance?
    /// The snapshot that it is a clone of, which may be gone, or the machine that it was forked from.
    var clonedFrom: String?
    var hasConsole: Bool
    /// What has come while it ran.
    var attached: [AttachmentDocument]
    var limits: LimitsDocument
    /// Of a machine that runs.
    var memory: MachineMemory?

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
        memoryMaximumMebibytes = specification.memoryMaximumMebibytes
        disks = specification.disks
        interfaces = store.stayingInterfaces(of: record).map(InterfaceDocument.init)
        publishedPorts = specification.published.map(PublishedDocument.init)
        egress = specification.egress?.map(\.description)
        created = Timestamp.text(seconds: record.createdSeconds)
        started = record.startedSeconds.map(Timestamp.text(seconds:))
        ended = record.endedSeconds.map(Timestamp.text(seconds:))
        exitStatus = record.exitStatus
        failure = record.failure
        imageDamage = record.imageDamage
        diskFailures = record.diskFailures
        ownerProcess = record.ownerProcess
        monitorProcess = record.monitorProcess
        isEmulated = record.isEmulated
        socketPath = record.socketPath
        outputLog = store.outputLog(record)
        consoleLog = store.consoleLog(record)
        let container = specification.container
        hostName = specification.hostName ?? record.name
        stopSignal = StopSignal.name(of: container.stopSignal)
        stopTimeoutSeconds = container.stopTimeoutSeconds
        restartPolicy = container.restart.description
        restartCount = record.restartCount ?? 0
        restarts = (record.restarts ?? []).map(RestartDocument.init)
        healthCheck = container.healthCheck
        whenUnhealthy = container.whenUnhealthy.rawValue
        health = store.health(record)
        exposedPorts = container.exposedPorts
        imageVolumes = container.imageVolumes
        volumes = container.volumes
        folders = container.folders
        labels = container.labels
        handedIn = container.handedIn
        groups = container.groups
        isReadOnly = container.isReadOnly
        temporaryFolders = container.temporaryFolders
        hostEntries = container.hostEntries
        nameServers = container.nameServers
        searchDomains = container.searchDomains
        let versions = try? store.versions(record)
        previous = versions?.previous.map(VersionDocument.init)
        update = versions?.attempt.map(AttemptDocument.init)
        lastUpdate = versions?.last.map(UpdateNoteDocument.init)
        settings = specification.settingsName
        appliance = specification.appliance
        clonedFrom = specification.origin?.name
        hasConsole = !specification.isWithoutConsole
        let attached = store.attachments(of: record)
        self.attached = attached.map(AttachmentDocument.init)
        limits = LimitsDocument(specification, attached: attached)
    }

    static func state(_ record: MachineRecord, _ health: HealthReport? = nil) -> String {
        let again = record.restartCount.map { ", run again \($0 == 1 ? "once" : "\($0) times")" } ?? ""
        return switch record.state {
        case .starting: "starting"
        case .running: "running" + (health.map { " (\($0.state.rawValue))" } ?? "") + again
        case .paused: "paused" + again
        case .restarting: "restarting" + again
        case .exited: "exited (\(record.exitStatus ?? 0)) \(Units.since(record.endedSeconds))"
        case .failed: "failed \(Units.since(record.endedSeconds))"
        case .suspended: "suspended \(Units.since(record.endedSeconds))"
        }
    }
}

/// A start after the first, for programs.
struct RestartDocument: Encodable {
    var time: String
    var exitStatus: Int32?
    var reason: String?

    init(_ note: RestartNote) {
        time = Timestamp.text(seconds: note.seconds)
        exitStatus = note.exitStatus
        reason = note.reason
    }
}

/// Which machines are meant.
enum MachineFilter {
    case name(String)
    case state(String)
    case health(String)
    case volume(String)
    case label(String, value: String?)

    init(parsing text: String) throws(CommandFailure) {
        let parts = text.split(separator: "=", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        switch (parts.first, parts.count) {
        case ("name", 2): self = .name(parts[1])
        case ("state", 2), ("status", 2): self = .state(parts[1])
        case ("health", 2): self = .health(parts[1])
        case ("volume", 2): self = .volume(parts[1])
        case ("label", 2...): self = .label(parts[1], value: parts.count > 2 ? parts[2] : nil)
        default:
            throw CommandFailure(
                "usage.filter",
                "\"\(text)\" chooses no machines; write name=, state=, health=, volume= or label= before a value")
        }
    }

    func matches(_ machine: MachineRecord, _ store: MachineStore) -> Bool {
        let container = machine.specification.container
        return switch self {
        case .name(let name): machine.name == name
        case .state(let state): machine.state.rawValue == state
        case .health(let health): (store.health(machine)?.state.rawValue ?? "none") == health
        case .volume(let name): container.volumes.contains { $0.name == name }
        case .label(let name, let value): container.labels[name].map { value == nil || $0 == value } ?? false
        }
    }
}
