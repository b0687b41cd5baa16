import AgentClient
import ArgumentParser
import FabricProtocol
import Fleet
import GuestKernels
import HostFiles
import ImageStore

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run a program in a new machine.",
        usage: "swiftlet run [options] <image> [<program> [<argument> ...]]",
        discussion: """
            The machine boots, runs the program with the image as its root, and ends with it. What the program writes to
            its root is kept in memory and gone afterwards. Options stand before the image; what follows it is the
            program's.

            Examples:
              swiftlet run --rm busybox uname -a
              swiftlet run --rm -it busybox sh
              echo 1+1 | swiftlet run --rm -i busybox bc
              swiftlet run -d --name web --cpus 2 --memory 512M python3 python3 -m http.server
              swiftlet run --rm --disk data.img --disk tools.img:ro busybox ls -l /dev/vdb /dev/vdc
              swiftlet run -d --name db -v data:/var/lib/db --secret password=./password.txt --restart on-failure db
              swiftlet run -d --name cache --memory 256M --memory-max 1G redis && swiftlet set --memory 768M cache
              swiftlet run -d --name shop --network lan --publish 8080:80 busybox httpd -f
              swiftlet run --rm --network lan --egress pypi.org:443 --egress pythonhosted.org:443 python3 pip download six
              swiftlet run -d --name batch --cpus 0.5 --disk-bandwidth 20M busybox sleep 600
              swiftlet run --rm --warm busybox echo hello
              swiftlet run -d --warm-when healthy --health-cmd 'wget -qO- localhost:8000' python3 python3 -m http.server
              swiftlet run --rm --timeout 10s busybox sleep 60        (exit status 124)
            """)

    @Option(help: ArgumentHelp("Processors, 1 to 32; 1.5 are two of which it may use so much.", valueName: "number"))
    var cpus = "1"
    @Option(
        name: [.short, .long], help: ArgumentHelp("Memory: 512M, 2G; without a unit MiB.", valueName: "size"))
    var memory = "256M"
    @OptionGroup var growth: GrowthOptions
    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "Set a variable; without a value this side's is taken. May be repeated.", valueName: "name=value"))
    var env: [String] = []
    @Option(
        help: ArgumentHelp(
            "Variables from a file: NAME=VALUE a line, # begins a comment. May be repeated.", valueName: "file"),
        completion: .file())
    var envFile: [String] = []
    @Option(name: [.short, .long], help: ArgumentHelp("Folder in which the program starts.", valueName: "path"))
    var workdir: String?
    @Option(
        name: [.short, .long],
        help: ArgumentHelp("Run as this user: a name or number, with :group if need be.", valueName: "user")) var user:
        String?
    @Option(help: ArgumentHelp("The machine's own name for itself.", valueName: "name")) var hostname: String?
    @Option(help: ArgumentHelp("What the machine is called; a name is made up if none is given.", valueName: "name"))
    var name: String?
    @Flag(
        name: .customLong("rm"), help: "Forget the machine when it ends; otherwise `ps --all` shows it, with its logs.")
    var removesItself = false
    @Flag(name: [.short, .long], help: "Run in the background; the machine's id is printed when the program runs.")
    var detach = false
    @Flag(name: [.short, .long], help: "Give the program a terminal.") var tty = false
    @Flag(name: [.short, .long], help: "Pass standard input on.") var interactive = false
    @Option(
        help: ArgumentHelp(
            "End the program after that long: 10s, 2m, 1h; then the exit status is 124.", valueName: "time"))
    var timeout: String?
    @Option(
        help: ArgumentHelp("The kernel to boot, as `kernel list` names it.", valueName: "kernel"),
        completion: Completions.kernels)
    var kernel: String?
    @Option(
        help: ArgumentHelp(
            "A raw disk (a file or block device), with :ro read-only; the guest's /dev/vdb and on. May be repeated.",
            valueName: "path[:ro]"), completion: .file())
    var disk: [String] = []
    @Option(
        help: ArgumentHelp(
            "Settings, by their name in `settings list`; the guest's /run/settings, one file for each field.",
            valueName: "settings"), completion: Completions.settings)
    var settings: String?
    @Option(
        help: ArgumentHelp(
            "Whether the program may have settings kept by itself, through /run/settings.commit: allow or refuse. No, if nothing is said.",
            valueName: "rule"))
    var settingsCommit: SettingsCommitRule?
    @Option(
        help: ArgumentHelp(
            "none (the default); tap makes a TAP device and gives both sides an address, or tap,address=none neither; tap:NAME[,address=A/N[,gateway=A]] takes one that exists. name=N is what the guest calls it, mac=M its address. May be repeated.",
            valueName: "network"), completion: Completions.networks)
    var network: [String] = []
    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "Have ports of this computer lead to the machine, in a network of `network create`: 8080:80, 127.0.0.1:8080:80, [::1]:8080:80, 8000-8009:80-89, 5353:53/udp. May be repeated.",
            valueName: PublishCommand.form))
    var publish: [String] = []
    @Option(
        help: ArgumentHelp(
            "What the machine may reach outside of its networks, and nothing else: example.com:443, 10.0.0.0/8, [2001:db8::/32]:443/tcp; a domain with all names below it; none for nothing. May be repeated.",
            valueName: EgressCommand.form))
    var egress: [String] = []
    @Option(
        help: ArgumentHelp(
            "What stands before the program instead of the image's own entry point; --entrypoint= for nothing.",
            valueName: "word"))
    var entrypoint: String?
    @Option(
        help: ArgumentHelp(
            "When to ask a registry: missing (the image is not here and its name begins with a registry), always, never.",
            valueName: "when"))
    var pull = PullPolicy.missing
    @OptionGroup(title: "Registry options") var registry: RegistryOptions
    @OptionGroup(title: "What container engines have, too") var container: ContainerOptions
    @OptionGroup(title: "Limits, which `set` changes") var limits: LimitOptions
    @OptionGroup(title: "Health") var health: HealthOptions
    @Flag(
        help:
            "Begin with a clone of a machine that has booted already: the first run makes that, further ones of the same image and size start from it."
    ) var warm = false
    @Option(
        help: ArgumentHelp(
            "Begin so with a machine that was written down when it had booted, as by --warm, or when the program's health check had succeeded: then further runs of the same program find it ready.",
            valueName: "booted|healthy"), completion: .list(WarmMoment.allCases.map(\.rawValue)))
    var warmWhen: WarmMoment?
    @Option(help: ArgumentHelp("Write the machine's id to a new file.", valueName: "path"), completion: .file())
    var cidfile: String?
    @Flag(help: "Show the kernel's console on standard error.") var console = false
    @Flag(name: .customLong("json"), help: "Print errors, and with --detach the machine's id and name, as JSON.")
    var isJSON = false
    @Argument(
        help: ArgumentHelp("An image, as `image list` names it.", valueName: "image"), completion: Completions.images)
    var image: String
    @Argument(help: ArgumentHelp("The program and its arguments; the image's own without.", valueName: "program"))
    var command: [String] = []

    func run() throws {
        // Before any thread is started.
        let signals = try SignalWatcher()
        if tty, interactive, !detach, !Terminal.isTerminal(0) {
            throw CommandFailure(
                "usage.no-terminal", "standard input is no terminal; leave --tty out, or --interactive")
        }
        var specification = try specification()
        let files = try container.handedIn.files()
        specification.container.handedIn = files.map(\.path)
        var start = MachineStart(specification)
        start.name = name
        start.files = files
        start.warmMoment = warmWhen ?? (warm ? .booted : nil)
        start.cidfile = cidfile
        start.isJSON = isJSON
        try start.run(signals)
    }

    /// Reads `PATH` and `PATH:ro`.
    static func disk(_ text: String) throws -> MachineSpecification.Disk {
        let isReadOnly = text.hasSuffix(":ro")
        let path = isReadOnly ? String(text.dropLast(3)) : text
        return .init(path: try FilePaths.absolute(path), isReadOnly: isReadOnly)
    }

    private func overrides() throws -> ImageOverrides {
        var overrides = ImageOverrides()
        overrides.command = command
        overrides.entrypoint = entrypoint
        overrides.environment = try EnvironmentList.merged([], files: envFile, settings: env, hasTerminal: tty)
        overrides.user = user
        overrides.workingDirectory = workdir
        try container.override(&overrides)
        overrides.health = try health.overrides()
        return overrides
    }

    /// What is asked for, with everything looked up, but for volumes, which are made if they are missing.
    func specification() throws -> MachineSpecification {
        var specification = MachineSpecification()
        try LimitOptions.setProcessors(cpus, of: &specification)
        guard let mebibytes = Units.mebibytes(memory) else {
            throw CommandFailure("usage.memory", "\"\(memory)\" is no size; write it as 512M or 2G")
        }
        specification.memoryMebibytes = mebibytes
        try growth.change(&specification)
        if let timeout {
            guard let seconds = Units.seconds(timeout), seconds > 0 else {
                throw CommandFailure("usage.timeout", "\"\(timeout)\" is no time; write it as 10s, 2m or 1h")
            }
            specification.timeLimitSeconds = seconds
        }
        specification.disks = try disk.map(Self.disk)
        if let settings {
            let named = try SettingsCommand.store.settings(settings)
            // A guest without them would not start, and could say less of why.
            _ = try named.current()
            specification.settingsFloppyPath = "\(named.floppy)"
            specification.settingsName = settings
        }
        specification.settingsCommit = settingsCommit
        specification.interfaces = try MachineInterface.list(parsing: network)
        specification.published = try publish.map { try PublishedPort(parsing: $0) }
        if !egress.isEmpty { specification.egress = try EgressRule.list(written: egress) }
        let image = try ImageCommand.resolve(image, pulling: pull, registry)
        if !isJSON, let appliance = try? ImageCommand.store.appliance(image) {
            Output.error(
                "swiftlet: \(self.image) is the appliance \(appliance.description.name), run here as any image, without the kernel, "
                    + "memory, interfaces and settings that it asks for; with them: swiftlet appliance run \(self.image)"
            )
        }
        specification.container = try container.settings()
        try specification.take(image, called: self.image, with: try overrides())
        specification.take(try KernelStore(root: Product.paths.kernels).resolve(kernel))
        specification.hostName = hostname
        specification.hasTerminal = tty
        specification.isInteractive = interactive && !detach
        specification.isDetached = detach
        specification.removesItself = removesItself
        specification.showsConsole = console && !detach
        try limits.change(&specification.limits, of: specification)
        return specification
    }
}

extension WarmMoment: ExpressibleByArgument {}

/// A machine in the background, for programs: names that stay.
struct StartedDocument: Encodable {
    var id: String
    var name: String
}
