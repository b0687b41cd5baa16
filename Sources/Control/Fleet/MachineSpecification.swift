import AgentProtocol
public import FabricProtocol

/// What a machine is to be: everything its owner needs to know, resolved, so that it can be written down and read again.
public struct MachineSpecification: Codable, Equatable, Sendable {
    public static let processorRange = 1...32
    public static let memoryMebibytesRange = 32...524_288

    public struct Disk: Codable, Equatable, Sendable {
        public var path: String
        public var isReadOnly: Bool

        public init(path: String, isReadOnly: Bool) {
            self.path = path
            self.isReadOnly = isReadOnly
        }
    }

    public var image = ""
    public var imageDigest = ""
    /// The files that are the image's disk one after the other, its hash tree the last.
    public var imageDiskPaths: [String] = []
    /// Nil: the guest takes the disk as it is.
    public var imageVerity: ImageVerity?
    public var kernel = ""
    public var kernelPath = ""
    public var kernelArguments = ""
    public var modulesPath: String?
    public var processors = 1
    /// What it begins with.
    public var memoryMebibytes = 256
    /// What it can be given while it runs; nil: no more than it begins with.
    public var memoryMaximumMebibytes: Int?
    public var disks: [Disk] = []
    /// The floppy whose settings the guest finds in `settingsFolder`.
    public var settingsFloppyPath: String?
    /// What they are called; nil where there are none.
    public var settingsName: String?
    /// Whether the program may have them kept by itself; nil where nobody has said.
    public var settingsCommit: SettingsCommitRule?
    /// Nil for other images.
    public var appliance: MachineAppliance?
    /// What the machine is a clone of; nil for one that boots.
    public internal(set) var origin: SnapshotOrigin?
    /// Whether the machine has neither console nor serial port. Nil is no.
    private var consoleIsAbsent: Bool?
    public var isWithoutConsole: Bool {
        get { consoleIsAbsent ?? false }
        set { consoleIsAbsent = newValue ? true : nil }
    }
    static let settingsFolder = "/run/settings"
    /// In what an earlier version has written down, the only interface.
    private var network: MachineNetwork?
    private var interfaceList: [MachineInterface]?
    /// The guest's `eth0` and on, unless they have names.
    public var interfaces: [MachineInterface] {
        get { interfaceList ?? network.map { [MachineInterface($0)] } ?? [] }
        set { interfaceList = newValue }
    }
    /// As people write them. Nil where there are none, and in what an earlier version has written down.
    private var publishedPorts: [String]?
    /// The computer's ports that lead to it, at its first interface in a network of the fabric.
    public var published: [PublishedPort] {
        get { (publishedPorts ?? []).compactMap { try? PublishedPort(parsing: $0) } }
        set { publishedPorts = newValue.isEmpty ? nil : newValue.map(\.description) }
    }
    /// As people write them.
    private var egressRules: [String]?
    /// What it may open connections to outside of its networks; nil: whatever these let it.
    public var egress: [EgressRule]? {
        get { egressRules?.compactMap { try? EgressRule(parsing: $0) } }
        set { egressRules = newValue?.map(\.description) }
    }
    public var hostName: String?
    public var command: [String] = []
    public var environment: [String] = []
    public var user = ""
    public var workingDirectory = ""
    public var hasTerminal = false
    public var isInteractive = false
    public var isDetached = false
    public var removesItself = false
    public var showsConsole = false
    public var timeLimitSeconds: Double?
    /// What was said beside the image. Nil in what an earlier version has written down.
    public var overrides: ImageOverrides?
    /// Nil in what an earlier version has written down.
    private var containerSettings: ContainerSettings?
    public var container: ContainerSettings {
        get { containerSettings ?? ContainerSettings() }
        set { containerSettings = newValue }
    }

    /// Nil where there are none, and in what an earlier version has written down.
    private var limitSettings: MachineLimits?
    public var limits: MachineLimits {
        get { limitSettings ?? MachineLimits() }
        set { limitSettings = newValue.isEmpty ? nil : newValue }
    }

    /// The guest's first disk is its root's, `/dev/vda`; these are `/dev/vdb` and on, to `/dev/vdz`.
    static let mostDisks = 25
    static let mostInterfaces = 8

    /// What is left of a monitor's devices besides the root, vsock, entropy and balloon.
    static let mostDevices = 15

    /// Those that were given, then the volumes', then the settings', which the guest only reads.
    var allDisks: [Disk] {
        disks + container.volumes.map { Disk(path: $0.diskPath, isReadOnly: $0.isReadOnly) }
            + (settingsFloppyPath.map { [Disk(path: $0, isReadOnly: true)] } ?? [])
    }

    /// The networks that are made for the machine, those of the interfaces first that it has itself, then those of such as had
    /// been attached to what it is a clone of.
    var ownNetworkCount: Int {
        (interfaces + (origin?.attachments ?? []).compactMap(\.interface)).count { $0.network.isOwn }
    }

    public init() {}

    /// What can be known before anything is made.
    public func check() throws(FleetError) {
        guard Self.processorRange.contains(processors) else {
            throw FleetError(
                .invalidSetting, "\(processors) processors cannot be given; a machine has 1 to 32 (--cpus)")
        }
        guard Self.memoryMebibytesRange.contains(memoryMebibytes) else {
            throw FleetError(
                .invalidSetting,
                "\(memoryMebibytes) MiB of memory will not do; a machine has at least 32 MiB and at most 512 GiB (--memory)"
            )
        }
        try checkMemoryMaximum()
        try Self.check(user: user, workingDirectory: workingDirectory)
        if let hostName { try Self.check(hostName: hostName) }
        guard allDisks.count <= Self.mostDisks else {
            throw FleetError(
                .invalidSetting, "a machine has at most \(Self.mostDisks) disks and volumes, not \(allDisks.count)")
        }
        try checkInterfaces()
        try checkPublished()
        try checkEgress()
        let folders = container.folders.count
        let devices = allDisks.count + folders + interfaces.count
        let most = Self.mostDevices - (memoryMaximumMebibytes == nil ? 0 : 1)
        guard folders == 0 && memoryMaximumMebibytes == nil || devices <= most else {
            throw FleetError(
                .invalidSetting,
                "a machine \(most < Self.mostDevices ? "whose memory can grow " : "")has at most \(most) disks, volumes, shared folders and network interfaces together, not \(devices)"
            )
        }
        try limits.check(self)
        try container.check()
        try container.healthCheck?.check()
        if container.restart.when != .no {
            guard isDetached, !removesItself else {
                throw FleetError(
                    .invalidSetting,
                    isDetached
                        ? "a machine that is forgotten when it ends cannot be run again; leave out --rm, or --restart"
                        : "only a machine in the background is run again; add --detach, or leave out --restart")
            }
        } else if container.whenUnhealthy == .restart {
            throw FleetError(
                .invalidSetting,
                "who is to be restarted when unhealthy needs a policy that does it, such as --restart on-failure")
        }
        guard !command.isEmpty else {
            throw FleetError(
                .noCommand,
                "the image \"\(image)\" names no program; give one after its name: swiftlet run \(image) PROGRAM")
        }
    }

    /// What can be known of a program's settings without the image's files, in which names of users are.
    public static func check(user: String, workingDirectory: String) throws(FleetError) {
        guard workingDirectory.isEmpty || workingDirectory.hasPrefix("/") else {
            throw FleetError(
                .invalidSetting,
                "\"\(workingDirectory)\" cannot be a program's folder; give a path from the root: /\(workingDirectory)")
        }
        guard workingDirectory.utf8.count <= Limits.pathBytes else {
            throw FleetError(.invalidSetting, "the program's folder has a path longer than \(Limits.pathBytes) bytes")
        }
        let parts = user.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, user.utf8.count <= Limits.userBytes, !user.contains(where: \.isWhitespace) else {
            throw FleetError(
                .invalidSetting, "\"\(user)\" cannot be a user; write a name or number, with :GROUP if need be (--user)"
            )
        }
    }

    private static func check(hostName: String) throws(FleetError) {
        let isName = hostName.utf8.allSatisfy { byte in
            switch byte {
            case 0x2d, 0x2e, 0x30...0x39, 0x41...0x5a, 0x5f, 0x61...0x7a: true
            default: false
            }
        }
        guard isName, !hostName.isEmpty, hostName.utf8.count <= Limits.hostNameBytes else {
            throw FleetError(
                .invalidSetting,
                "\"\(hostName)\" cannot be a host's name; use letters, digits, \".\", \"-\" and \"_\", at most \(Limits.hostNameBytes) (--hostname)"
            )
        }
    }
}
