/// Where the emulated host keeps its things, and how large it is.
public struct HostSettings: Equatable, Sendable {
    /// What outlives a restart of the machine: `<data>/host`.
    public var dataFolder: String
    /// Sockets and the record of the running host: `<runtime>/host`.
    public var runtimeFolder: String
    /// The agent that becomes the host's first process.
    public var agentPath: String
    /// The script that fetches QEMU, the host's kernel and its modules.
    public var setUpScript: String
    public var memoryMebibytes: Int
    /// One: emulators that run each processor on a thread of its own get two of them into states that no hardware has.
    /// Source: Documentation/design/0022-emulator-version.md.
    public var processors = 1
    /// The host powers itself off after that long without a connection and without a command; zero never does.
    public var idleSeconds: UInt32 = 3600

    /// - Parameters:
    ///   - dataFolder: the product's own, of which `host` below it is used.
    ///   - runtimeFolder: the same.
    ///   - libexecFolder: where `swiftlet-agent` and `setup-host` lie.
    public init(dataFolder: String, runtimeFolder: String, libexecFolder: String) {
        self.dataFolder = dataFolder + "/host"
        self.runtimeFolder = runtimeFolder + "/host"
        agentPath = libexecFolder + "/swiftlet-agent"
        setUpScript = libexecFolder + "/setup-host"
        memoryMebibytes = Self.memoryMebibytes(totalMebibytes: HostFacts.memory().totalMebibytes)
    }

    /// Half of the machine's, between 1 and 4 GiB, in whole quarters of a GiB. Pages are taken as they are used.
    static func memoryMebibytes(totalMebibytes: Int) -> Int {
        max(1024, min(4096, totalMebibytes / 2 / 256 * 256))
    }

    /// What `setup-host` makes. Source: Scripts/setup-host.
    var kernelFolder: String { dataFolder + "/kernel" }
    /// QEMU, as `setup-host` chose it.
    var emulator: String { kernelFolder + "/qemu-system-x86_64" }
    /// What that says about itself, such as `10.0.2`.
    var emulatorVersionFile: String { kernelFolder + "/qemu-version" }
    var lockFile: String { dataFolder + "/lock" }
    public var recordFile: String { runtimeFolder + "/record.json" }
    /// Locked by the emulator itself, by a descriptor that it inherits: free when and only when no emulator runs.
    var aliveFile: String { runtimeFolder + "/alive" }
    var processIDFile: String { runtimeFolder + "/qemu.pid" }
    var controlSocket: String { runtimeFolder + "/qmp" }
    public var consoleLog: String { runtimeFolder + "/console.log" }
    public var emulatorLog: String { runtimeFolder + "/qemu.log" }
}
