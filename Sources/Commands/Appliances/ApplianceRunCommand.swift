import AgentClient
import ApplianceSettings
import Appliances
import ArgumentParser
import FabricProtocol
import Fleet
import GuestKernels
import ImageStore

struct ApplianceRunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run an appliance in a new machine.",
        discussion: """
            Memory, program and health check are what the description says; the disk is read-only and verified, everything else
            is in memory. Settings are those of the machine's name, made with the schema's defaults if there are none.
            Examples:
              swiftlet appliance run -d --name fw ghcr.io/acme/firewall:1.4
              swiftlet appliance run -d --name fw --settings office --no-console ghcr.io/acme/firewall:1.4
              swiftlet appliance run --name fw --count 50 --settings-from table.csv ghcr.io/acme/firewall:1.4
            """)
    @Option(help: ArgumentHelp("What the machine is called; as the appliance if not given.", valueName: "name"))
    var name: String?
    @Option(
        help: ArgumentHelp("Other settings than those of the machine's name.", valueName: "settings"),
        completion: Completions.settings)
    var settings: String?
    @Flag(help: "Give the machine neither console nor serial port.") var noConsole = false
    @Option(name: [.short, .long], help: ArgumentHelp("More memory than it needs: 128M, 1G.", valueName: "size"))
    var memory: String?
    @OptionGroup var growth: GrowthOptions
    @Option(help: ArgumentHelp("Processors, 1 to 32; 1.5 are two of which it may use so much.", valueName: "number"))
    var cpus = "1"
    @Option(
        help: ArgumentHelp(
            "As for `swiftlet run`, in the order of the appliance's interfaces unless they say name=. May be repeated.",
            valueName: "network"), completion: Completions.networks)
    var network: [String] = []
    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "Have ports of this computer lead to the machine, as `swiftlet run --publish` does. May be repeated.",
            valueName: PublishCommand.form))
    var publish: [String] = []
    @Flag(name: .customLong("rm"), help: "Forget the machine when it ends.") var removesItself = false
    @Flag(name: [.short, .long], help: "Run in the background; the machine's id is printed when the program runs.")
    var detach = false
    @Option(
        help: ArgumentHelp(
            "So many machines in the background, NAME-1 and on, each with its own settings.", valueName: "number"))
    var count: Int?
    @Option(
        help: ArgumentHelp(
            "Their settings: CSV with a line for each; the first line names the fields, and may have `name`.",
            valueName: "file"), completion: .file())
    var settingsFrom: String?
    @Option(
        help: ArgumentHelp("When to ask a registry: missing, always, never.", valueName: "when"))
    var pull = PullPolicy.missing
    @Option(
        help: ArgumentHelp(
            "Whether the program may have settings kept by itself, through /run/settings.commit: allow or refuse. What its description says, if nothing is said.",
            valueName: "rule"))
    var settingsCommit: SettingsCommitRule?
    @OptionGroup(title: "Registry options") var registry: RegistryOptions
    @OptionGroup(title: "What container engines have, too") var container: ContainerOptions
    @OptionGroup(title: "Limits, which `set` changes") var limits: LimitOptions
    @OptionGroup(title: "Health") var health: HealthOptions
    @Argument(help: "The appliance, as `image list` or a registry names it.", completion: Completions.images)
    var image: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        // Before any thread is started.
        let signals = try SignalWatcher()
        let appliance = try ImageCommand.store.appliance(try ImageCommand.resolve(image, pulling: pull, registry))
        let specification = try specification(appliance)
        let files = try container.handedIn.files()
        if count != nil || settingsFrom != nil {
            return try runMany(appliance, specification, files, signals)
        }
        var start = MachineStart(specification)
        start.name = name ?? appliance.description.name
        start.files = files
        start.specification.container.handedIn = files.map(\.path)
        start.isJSON = format.isJSON
        try start.specification.check()
        if let schema = appliance.description.settings {
            try start.specification.take(try Self.prepare(settings ?? start.name ?? "", schema, of: image))
        } else if let settings {
            throw CommandFailure(
                "appliance.without-settings",
                "\(appliance.description.name) takes no settings, and \"\(settings)\" would mean nothing to it")
        }
        try start.run(signals)
    }

    /// All but the settings.
    private func specification(_ appliance: StoredAppliance) throws -> MachineSpecification {
        let (image, description) = (appliance.image, appliance.description)
        guard description.architecture == ImportSettings.hostArchitecture else {
            throw CommandFailure(
                "appliance.other-architecture",
                "\(description.name) is for \(description.architecture), and this computer is \(ImportSettings.hostArchitecture)"
            )
        }
        var specification = MachineSpecification()
        specification.container = try container.settings()
        var overrides = ImageOverrides()
        try container.override(&overrides)
        overrides.health = try health.overrides()
        try specification.take(image, called: self.image, with: overrides)
        if let kernel = appliance.kernelPath {
            specification.kernel = "\(description.name) \(description.version)"
            specification.kernelPath = kernel
            specification.kernelArguments = description.kernelArguments
        } else {
            specification.take(try KernelStore(root: Product.paths.kernels).resolve(nil))
        }
        try LimitOptions.setProcessors(cpus, of: &specification)
        specification.memoryMebibytes = max(
            description.leastMemoryMebibytes, MachineSpecification.memoryMebibytesRange.lowerBound)
        if let memory {
            guard let mebibytes = Units.mebibytes(memory) else {
                throw CommandFailure("usage.memory", "\"\(memory)\" is no size; write it as 512M or 2G")
            }
            guard mebibytes >= description.leastMemoryMebibytes else {
                throw CommandFailure(
                    "usage.memory",
                    "\(description.name) needs \(description.leastMemoryMebibytes) MiB of memory at least (--memory)")
            }
            specification.memoryMebibytes = mebibytes
        }
        try growth.change(&specification)
        specification.interfaces = try description.machineInterfaces(network)
        specification.published = try publish.map { try PublishedPort(parsing: $0) }
        specification.isDetached = detach || count != nil || settingsFrom != nil
        specification.removesItself = removesItself
        specification.isWithoutConsole = noConsole
        specification.appliance = MachineAppliance(
            name: description.name, version: "\(description.version)",
            manifestDigest: image.manifest.map { "\($0)" } ?? "",
            descriptionDigest: "\(appliance.manifest.description.digest)", apply: description.apply,
            commitsSettings: description.commitsSettings)
        specification.settingsCommit = settingsCommit
        try limits.change(&specification.limits, of: specification)
        return specification
    }

    /// The settings of that name, made with the schema's defaults if there are none, or told why they do not do.
    static func prepare(_ name: String, _ schema: SettingsSchema, of image: String) throws -> NamedSettings {
        let store = SettingsCommand.store
        guard try store.names().contains(name) else {
            do throws(SettingsError) { return try store.create(name, schema: schema) } catch {
                guard error.code == .refused else { throw error }
                throw CommandFailure(
                    error.code.rawValue,
                    "\(error.message)\nThere are no settings \(name) yet, and the defaults are not enough. Make some: swiftlet "
                        + "settings create \(name) --schema \(image) --from FILE")
            }
        }
        let named = try store.settings(name)
        let current = try named.current()
        guard current.schema.name == schema.name else {
            throw CommandFailure(
                "settings.refused",
                "the settings \(name) are for \(current.schema.name), and not for \(schema.name); give others by --settings"
            )
        }
        guard current.schema.version == schema.version else {
            throw CommandFailure(
                "settings.refused",
                "the settings \(name) are of version \(current.schema.version), and \(schema.name) wants \(schema.version); "
                    + "carry them over: swiftlet settings migrate \(name) --schema \(image)")
        }
        _ = try schema.checked(current.settings)
        return named
    }

    // MARK: - Many

    private func runMany(
        _ appliance: StoredAppliance, _ specification: MachineSpecification, _ files: [HandedInFile],
        _ signals: SignalWatcher
    ) throws {
        let base = name ?? appliance.description.name
        guard settings == nil else {
            throw CommandFailure("usage.count", "each machine has its own settings; leave out --settings")
        }
        guard publish.isEmpty else {
            throw CommandFailure(
                "usage.count",
                "a port of this computer leads to one machine; leave out --publish, and publish each one's: swiftlet publish"
            )
        }
        guard let schema = appliance.description.settings else {
            throw CommandFailure("appliance.without-settings", "\(appliance.description.name) takes no settings")
        }
        let table = try ProvisioningTable(
            try settingsFrom.map { try SettingsCommand.read($0, limit: 16 << 20) }, count: count, base: base)
        // Everything that can be wrong, of every machine, before one is made.
        let taken = Set(try SettingsCommand.store.names())
        let machines = Set(Product.fleet.store.list().map(\.name))
        var rows: [(name: String, settings: SettingsValue)] = []
        for row in table.rows {
            guard !taken.contains(row.name), !machines.contains(row.name) else {
                throw CommandFailure(
                    "machine.duplicate-name",
                    "line \(row.line): there is a machine or there are settings called \(row.name) already; leave the line out, "
                        + "or remove them first (swiftlet rm, swiftlet settings remove)")
            }
            do {
                try MachineNames.check(row.name)
                try SettingsStore.check(name: row.name)
            } catch {
                throw CommandFailure("usage.table", "line \(row.line): \(CommandFailure(error).message)")
            }
            do throws(SettingsError) {
                rows.append((row.name, try schema.settings(setting: row.fields)))
            } catch {
                throw CommandFailure("settings.refused", "line \(row.line), \(row.name): \(error.message)")
            }
        }
        var starts: [MachineStart] = []
        for row in rows {
            var start = MachineStart(specification)
            start.name = row.name
            start.files = files
            start.specification.container.handedIn = files.map(\.path)
            try start.specification.check()
            starts.append(start)
        }
        var started: [StartedDocument] = []
        for (row, start) in zip(rows, starts) {
            do {
                started.append(try Self.begin(start, row.name, schema, row.settings, signals))
            } catch {
                if format.isJSON { Output.json(started) }
                let failure = CommandFailure(error)
                var told = CommandFailure(
                    failure.code,
                    "\(row.name): \(failure.message)\n\(started.count) of \(rows.count) machines run; of those behind nothing was "
                        + "made. Leave out the lines of those that run, and go on.")
                told.status = failure.status
                throw told
            }
            if !format.isJSON { Output.line(row.name) }
        }
        if format.isJSON { Output.json(started) }
    }

    /// One machine with its settings: both, or, while there is no machine, neither.
    private static func begin(
        _ start: MachineStart, _ name: String, _ schema: SettingsSchema, _ settings: SettingsValue,
        _ signals: SignalWatcher
    ) throws -> StartedDocument {
        var start = start
        let named = try SettingsCommand.store.create(name, schema: schema, settings: settings)
        let machine: OwnedMachine
        do {
            try start.specification.take(named)
            machine = try start.create()
        } catch {
            try? SettingsCommand.store.remove(name)
            throw error
        }
        try start.runInBackground(machine, signals)
        return StartedDocument(id: machine.record.id, name: machine.record.name)
    }
}

extension MachineSpecification {
    mutating func take(_ settings: NamedSettings) throws {
        settingsFloppyPath = "\(settings.floppy)"
        settingsName = settings.name
    }
}
