import WireFormats

/// What the agent tells the host.
public enum AgentMessage: FramedMessage {
    /// The first frame on every control connection, unasked.
    case hello(Hello)
    case configured
    /// The command runs; its process identifier in the guest.
    case started(processIdentifier: UInt32)
    /// The command ended. Its streams may still hold bytes, up to their end of file.
    case exited(ExitStatus)
    case fileStatus(FileStatus)
    case pong(Load)
    /// The socket of a relay exists.
    case listening
    /// A relay reached the other side; raw bytes follow.
    case connected
    /// The request with this frame's id was not carried out.
    case failure(Failure)
    /// The root's device holds something else than its hash tree says; whoever read it got an error. Unasked, to whoever
    /// sent the configuration, before what follows from it: an exit, or a failure to mount.
    case diskDamaged(DiskDamage)
    /// The guest asks that the settings which it has written down be kept. Unasked, to whoever sent the configuration.
    case settingsProposed
    /// No user program runs until `release`: how many were stopped.
    case held(processes: UInt32)
    case processes(ProcessList)
    /// A device's driver has taken it: the guest's name for it, `vdc` or `eth1`.
    case attached(name: ByteString)

    public static var payloadLimit: Int { Limits.agentPayloadBytes }

    public var type: UInt16 {
        switch self {
        case .hello: 129
        case .configured: 130
        case .started: 131
        case .exited: 132
        case .fileStatus: 133
        case .pong: 134
        case .listening: 135
        case .connected: 136
        case .failure: 137
        case .diskDamaged: 138
        case .settingsProposed: 139
        case .held: 140
        case .processes: 141
        case .attached: 142
        }
    }

    public func encodePayload(into writer: inout LittleEndianWriter) {
        switch self {
        case .hello(let hello):
            writer.write(hello.agentVersion)
            writer.write(hello.kernelRelease)
            writer.write(hello.capabilities.rawValue)
            writer.write(hello.uptimeNanoseconds)
        case .configured, .listening, .connected, .settingsProposed: break
        case .pong(let load):
            writer.write(load.processes)
            writer.write(load.connections)
            writer.write(load.uptimeNanoseconds)
            writer.write(load.memoryBytes)
            writer.write(load.availableBytes)
        case .started(let number), .held(let number): writer.write(number)
        case .exited(.exited(let status)):
            writer.write(UInt8(0))
            writer.write(status)
        case .exited(.signalled(let signal)):
            writer.write(UInt8(1))
            writer.write(signal)
        case .fileStatus(let status):
            writer.write(status.mode)
            writer.write(status.userID)
            writer.write(status.groupID)
            writer.write(status.sizeBytes)
            writer.write(status.modifiedNanoseconds)
        case .failure(let failure): failure.encode(into: &writer)
        case .processes(let list): list.encode(into: &writer)
        case .attached(let name): writer.write(name)
        case .diskDamaged(let damage):
            writer.write(damage.part.rawValue)
            writer.write(damage.block)
        }
    }

    public init(type: UInt16, payload: [UInt8]) throws(ProtocolError) {
        var reader = MessageReader(payload)
        switch type {
        case 129:
            self = .hello(
                Hello(
                    agentVersion: reader.string(.agentVersion, atMost: Limits.versionBytes),
                    kernelRelease: reader.string(.kernelRelease, atMost: Limits.versionBytes),
                    capabilities: Hello.Capabilities(rawValue: reader.integer()),
                    uptimeNanoseconds: reader.integer()))
        case 130: self = .configured
        case 131: self = .started(processIdentifier: reader.integer())
        case 132:
            switch reader.integer(UInt8.self) {
            case 0: self = .exited(.exited(reader.integer()))
            case 1: self = .exited(.signalled(reader.integer()))
            default: throw .outOfBounds(.exitKind)
            }
        case 133:
            self = .fileStatus(
                FileStatus(
                    mode: reader.integer(), userID: reader.integer(), groupID: reader.integer(),
                    sizeBytes: reader.integer(), modifiedNanoseconds: reader.integer()))
        case 134:
            self = .pong(
                Load(
                    processes: reader.integer(), connections: reader.integer(),
                    uptimeNanoseconds: reader.integer(),
                    memoryBytes: reader.integer(), availableBytes: reader.integer()))
        case 135: self = .listening
        case 136: self = .connected
        case 137: self = .failure(Failure(from: &reader))
        case 138:
            guard let part = DiskDamage.Part(rawValue: reader.integer()) else { throw .outOfBounds(.kind) }
            self = .diskDamaged(DiskDamage(part, block: reader.integer()))
        case 139: self = .settingsProposed
        case 140: self = .held(processes: reader.integer())
        case 141: self = .processes(ProcessList(from: &reader))
        case 142: self = .attached(name: reader.word(.device, atMost: Limits.deviceNameBytes))
        default: throw .unknownMessage(type)
        }
        try reader.finish()
    }
}

/// Who answers.
public struct Hello: Equatable, Sendable {
    public struct Capabilities: OptionSet, Sendable {
        public let rawValue: UInt64
        public init(rawValue: UInt64) { self.rawValue = rawValue }

        /// A guest that `configure` has not reached yet.
        public static let awaitsConfiguration = Capabilities(rawValue: 1 << 0)
        /// The emulated host and not a guest.
        public static let isHost = Capabilities(rawValue: 1 << 1)
    }

    public var agentVersion: ByteString
    /// As `uname -r` prints it.
    public var kernelRelease: ByteString
    /// Bits that are not known are to be ignored.
    public var capabilities: Capabilities
    /// Since the kernel started, when this message was written.
    public var uptimeNanoseconds: UInt64

    public init(
        agentVersion: ByteString, kernelRelease: ByteString, capabilities: Capabilities, uptimeNanoseconds: UInt64
    ) {
        self.agentVersion = agentVersion
        self.kernelRelease = kernelRelease
        self.capabilities = capabilities
        self.uptimeNanoseconds = uptimeNanoseconds
    }
}

/// Where the root's device is not what it was.
public struct DiskDamage: Hashable, Sendable {
    public enum Part: UInt8, Sendable {
        case data = 0
        case hashTree = 1
        /// The kernel's news of it were lost.
        case unknown = 2
    }

    public var part: Part
    /// Of 4096 bytes, counted from the beginning of the device; zero where that is not known.
    public var block: UInt64

    public init(_ part: Part, block: UInt64) {
        self.part = part
        self.block = block
    }
}

/// What the agent has to do.
public struct Load: Equatable, Sendable {
    /// Commands that run.
    public var processes: UInt32
    /// Connections that are open, the asking one included.
    public var connections: UInt32
    /// Since the kernel started.
    public var uptimeNanoseconds: UInt64
    /// What the kernel has to give out, and what of it it could give now, caches included. Zero where it does not say.
    public var memoryBytes: UInt64
    public var availableBytes: UInt64

    public init(
        processes: UInt32, connections: UInt32, uptimeNanoseconds: UInt64, memoryBytes: UInt64 = 0,
        availableBytes: UInt64 = 0
    ) {
        self.processes = processes
        self.connections = connections
        self.uptimeNanoseconds = uptimeNanoseconds
        self.memoryBytes = memoryBytes
        self.availableBytes = availableBytes
    }
}

/// How a process ended.
public enum ExitStatus: Equatable, Sendable {
    case exited(UInt8)
    case signalled(UInt8)

    /// As a shell reports it: the status, or 128 and the signal.
    public var shellStatus: UInt8 {
        switch self {
        case .exited(let status): status
        case .signalled(let signal): 128 | signal
        }
    }
}

/// What `status` asks for.
public struct FileStatus: Equatable, Sendable {
    /// Type and permissions, as `st_mode` has them.
    public var mode: UInt32
    public var userID: UInt32
    public var groupID: UInt32
    public var sizeBytes: UInt64
    /// Since 1970; two's complement.
    public var modifiedNanoseconds: UInt64

    public init(mode: UInt32, userID: UInt32, groupID: UInt32, sizeBytes: UInt64, modifiedNanoseconds: UInt64) {
        self.mode = mode
        self.userID = userID
        self.groupID = groupID
        self.sizeBytes = sizeBytes
        self.modifiedNanoseconds = modifiedNanoseconds
    }

    /// Source: Linux `S_IFMT`, `S_IFDIR`.
    public var isDirectory: Bool { mode & 0o170000 == 0o040000 }
}
