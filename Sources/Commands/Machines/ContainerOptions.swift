import ArgumentParser
import Fleet
import ImageStore

/// What people know from container engines and the image may say itself.
struct ContainerOptions: ParsableArguments {
    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "A volume, made if there is none of that name, or a folder here (its path has a slash), and its place. May be repeated.",
            valueName: "name-or-folder:/path[:ro]"), completion: Completions.volumes)
    var volume: [String] = []
    @Option(
        help: ArgumentHelp(
            "A folder in memory, with options of tmpfs such as size=64m. May be repeated.",
            valueName: "path[:options]"))
    var tmpfs: [String] = []
    @Flag(help: "Let nobody write to the root; volumes and tmpfs stay writable.") var readOnly = false
    @Option(help: ArgumentHelp("Size of /dev/shm; half of the memory if not given.", valueName: "size"))
    var shmSize: String?
    @OptionGroup var handedIn: HandedInOptions
    @Option(
        help: ArgumentHelp(
            "Run the program again: no, on-failure[:TIMES], always, unless-stopped.", valueName: "policy"),
        completion: .list(["no", "on-failure", "always", "unless-stopped"]))
    var restart = "no"
    @Option(help: ArgumentHelp("What the program gets at `stop`; the image's, or TERM.", valueName: "signal"))
    var stopSignal: String?
    @Option(help: ArgumentHelp("How long it then has: 10s if not given.", valueName: "time"))
    var stopTimeout: String?
    @Option(
        name: [.short, .long],
        help: ArgumentHelp("A label, for `ps --filter`. May be repeated.", valueName: "name[=value]"))
    var label: [String] = []
    @Option(
        help: ArgumentHelp("A port that the program serves, beside the image's. May be repeated.", valueName: "port"))
    var expose: [String] = []
    @Option(help: ArgumentHelp("A further group of the program. May be repeated.", valueName: "group"))
    var groupAdd: [String] = []
    @Option(
        help: ArgumentHelp(
            "A line of /etc/hosts; host-gateway is this computer on --network tap. May be repeated.",
            valueName: "name:address"))
    var addHost: [String] = []
    @Option(help: ArgumentHelp("A name server. May be repeated.", valueName: "address")) var dns: [String] = []
    @Option(help: ArgumentHelp("A domain in which names are looked up. May be repeated.", valueName: "domain"))
    var dnsSearch: [String] = []

    /// What is said whatever the image is.
    func settings() throws -> ContainerSettings {
        var settings = ContainerSettings()
        if let stopTimeout { settings.stopTimeoutSeconds = try Units.time(stopTimeout, "--stop-timeout") }
        settings.restart = try RestartPolicy(parsing: restart)
        settings.groups = groupAdd
        settings.hostEntries = try addHost.map { try ContainerSettings.HostAddress(parsing: $0) }
        settings.nameServers = dns
        settings.searchDomains = dnsSearch
        settings.temporaryFolders = try tmpfs.map { try TemporaryFolder(parsing: $0) }
        settings.isReadOnly = readOnly
        if let shmSize { settings.sharedMemoryBytes = try Units.bytes(shmSize, "--shm-size") }
        settings.folders = try volume.filter(SharedFolder.isOne).map {
            try SharedFolder(parsing: $0, absolute: FilePaths.absolute)
        }
        settings.volumes = try volume.filter { !SharedFolder.isOne($0) }.map { try VolumeAttachment(parsing: $0) }
        return settings
    }

    /// What stands above, or beside, what the image says.
    func override(_ overrides: inout ImageOverrides) throws(CommandFailure) {
        overrides.labels = try Self.labels(label)
        for text in expose { overrides.exposedPorts.append(try Self.port(text)) }
        guard let stopSignal else { return }
        guard let number = StopSignal.number(of: stopSignal) else {
            throw CommandFailure(
                "usage.signal", "\"\(stopSignal)\" is no signal; write it as TERM, SIGQUIT or 15 (--stop-signal)")
        }
        overrides.stopSignal = number
    }

    /// `NAME=VALUE` or `NAME`, as labels are written.
    static func labels(_ texts: [String]) throws(CommandFailure) -> [String: String] {
        var labels: [String: String] = [:]
        for text in texts {
            let halves = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard let name = halves.first, !name.isEmpty else {
                throw CommandFailure("usage.label", "\"\(text)\" is no label; write NAME=VALUE")
            }
            labels[name] = halves.count > 1 ? halves[1] : ""
        }
        return labels
    }

    /// `80` is `80/tcp`.
    private static func port(_ text: String) throws(CommandFailure) -> String {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count <= 2, let port = UInt16(halves[0]), port > 0,
            halves.count == 1 || ["tcp", "udp", "sctp"].contains(halves[1])
        else {
            throw CommandFailure("usage.expose", "\"\(text)\" is no port; write 80, 80/tcp or 53/udp (--expose)")
        }
        return "\(port)/\(halves.count == 2 ? halves[1] : "tcp")"
    }
}
