public import AgentClient
public import AgentProtocol
import Glibc
import LinuxCalls

/// A host that runs, and the way to its agent.
public final class RunningHost: AgentEndpoint, Sendable {
    let record: HostRecord

    init(_ record: HostRecord) { self.record = record }

    /// How long the agent may take to answer: a restored host does within a tenth of a second on an idle machine.
    private static let patienceMilliseconds: UInt64 = 30_000

    /// The emulator's process.
    public var emulatorProcess: Int32 { record.emulator.identifier }
    public var startedSeconds: Int64 { record.startedSeconds }
    public var memoryMebibytes: Int { record.memoryMebibytes }
    public var processors: Int { record.processors }

    /// The Unix sockets inside.
    public var sockets: any SocketDomain { HostSockets(self) }

    public func open(_ kind: Opening.Kind, until deadline: Deadline) throws(AgentClientError) -> AgentSocket {
        let socket: AgentSocket
        do throws(LinuxError) { socket = AgentSocket(try LoopbackSocket.connect(port: record.port)) } catch {
            throw AgentClientError(.unreachable, "the emulated host does not take connections: \(error)")
        }
        try socket.write(Opening(kind, secret: record.secret).encoded())
        return socket
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

/// TCP to this machine itself.
enum LoopbackSocket {
    /// A blocking connection that sends small pieces at once.
    static func connect(port: UInt16) throws(LinuxError) -> FileDescriptor {
        let socket = FileDescriptor(
            owning: Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
        guard socket.number >= 0 else { throw LinuxError(errno) }
        var one: Int32 = 1
        // SAFETY: the kernel reads four bytes during the call.
        unsafe setsockopt(socket.number, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        // SAFETY: the kernel reads the address during the call.
        let result = unsafe withUnsafePointer(to: &address) { address in
            unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(socket.number, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw LinuxError(errno) }
        return socket
    }
}
