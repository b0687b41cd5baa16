public import AgentClient
public import AgentProtocol
import LinuxCalls

/// A host that runs, and the way to its agent.
public final class RunningHost: AgentEndpoint, Sendable {
    let record: HostRecord

    init(_ record: HostRecord) { self.record = record }

    /// How long the agent may take to answer: a restored host does within a tenth of a second on an idle machine. On one that is busy
    /// with other guests it may stand still for ten seconds between any two steps.
    static let patienceMilliseconds: UInt64 = 120_000

    /// The emulator's process.
    public var emulatorProcess: Int32 { record.emulator.identifier }
    public var startedSeconds: Int64 { record.startedSeconds }
    public var memoryMebibytes: Int { record.memoryMebibytes }
    public var processors: Int { record.processors }

    /// The Unix sockets inside.
    public var sockets: any SocketDomain { HostSockets(self) }

    public func open(_ kind: Opening.Kind, until deadline: Deadline) throws(AgentClientError) -> AgentSocket {
        do throws(LinuxError) {
            let opening = Opening(kind, secret: record.secret).encoded()
            return AgentSocket(try LoopbackSocket.connect(port: record.port, saying: opening, until: deadline))
        } catch {
            throw AgentClientError(.unreachable, "the emulated host does not take connections: \(error)")
        }
    }

    /// A control connection, over which commands are started in the host. The host's clock is right afterwards.
    public func connect() throws(AgentClientError) -> AgentConnection {
        let connection = try AgentConnection(
            to: self, until: Deadline(afterMilliseconds: Self.patienceMilliseconds))
        try connection.send(.clock(realTimeNanoseconds: Clock.realTime.nanoseconds()))
        return connection
    }

    /// Makes the restored host this user's: its secret, this machine's files, the clock, fresh randomness.
    func adopt(kernel: HostKernel, idleSeconds: UInt32) throws(HostError) {
        var configuration = Configuration()
        configuration.hostName = "swiftlet-host"
        // Mapped pages are cached and nothing else, so that what changes outside is seen at once. Source: Linux,
        // Documentation/filesystems/9p.rst.
        configuration.root = RootFileSystem(
            source: ByteString(EmulatorCommand.shareTag), fileSystem: "9p",
            options: "trans=virtio,version=9p2000.L,msize=512000,cache=mmap,access=client",
            isReadOnly: false, overlay: .none, isForCommandsOnly: true)
        configuration.standardMounts = [.proc, .sys, .dev, .terminals, .sharedMemory, .controlGroups, .run]
        configuration.writesNameFiles = false
        configuration.realTimeNanoseconds = Clock.realTime.nanoseconds()
        configuration.seed = HostSecret.random().bytes
        configuration.idleSeconds = idleSeconds
        // The kernel runs modprobe in the agent's root; the modules lie on the outer machine.
        configuration.links = [
            SymbolicLink(
                path: ByteString("/lib/modules/\(kernel.release)"),
                target: ByteString(
                    "\(Self.commandRoot)\(HostFacts.resolved(kernel.folder))/lib/modules/\(kernel.release)"))
        ]
        do throws(AgentClientError) {
            let deadline = Deadline(afterMilliseconds: Self.patienceMilliseconds)
            let connection = try AgentConnection(to: self, until: deadline)
            try connection.send(.configure(configuration), id: 1)
            _ = try connection.answer(to: 1, until: deadline)
        } catch {
            throw HostError(.silent, "the emulated host was restored but not taken over: \(error)")
        }
    }

    /// Where the agent mounts the root that commands have.
    private static let commandRoot = "/outer"

    /// What runs in the host.
    public func load() throws(AgentClientError) -> Load {
        let deadline = Deadline(afterMilliseconds: Self.patienceMilliseconds)
        let connection = try connect()
        try connection.send(.ping, id: 1)
        guard case .pong(let load) = try connection.answer(to: 1, until: deadline) else {
            throw AgentClientError(.malformed, "the emulated host's agent gave another answer than was asked for")
        }
        return load
    }

    func powerOff(graceMilliseconds: UInt32) throws(AgentClientError) {
        let connection = try AgentConnection(to: self, until: Deadline(afterMilliseconds: 2000))
        try connection.send(.powerOff(PowerOff(.powerOff, graceMilliseconds: graceMilliseconds)))
        // The end of the connection is the answer.
        _ = try? connection.receive(until: Deadline(afterMilliseconds: UInt64(graceMilliseconds) + 1000))
    }
}
