import AgentClient
import AgentProtocol
import LinuxCalls

/// The Unix sockets inside the emulated host, reached through its agent.
final class HostSockets: SocketDomain {
    private let host: RunningHost

    init(_ host: RunningHost) { self.host = host }

    func connect(_ path: String, until deadline: Deadline) throws(AgentClientError) -> FileDescriptor {
        let relay = try HostRelay(.dial(path: ByteString(path)), host, until: deadline)
        try relay.waitForPeer(until: deadline)
        return try relay.takeSocket()
    }

    func listen(_ path: String, expecting: Int) throws(AgentClientError) -> any SocketListener {
        try HostListener(path, host, relays: max(1, expecting))
    }
}

/// Takes connections at a path inside: each relay that waits there becomes one of them, and is replaced.
private final class HostListener: SocketListener, @unchecked Sendable {
    private static let patienceMilliseconds = RunningHost.patienceMilliseconds

    private let path: String
    private let host: RunningHost
    private let lock = FutexLock()
    private nonisolated(unsafe) var relays: [HostRelay] = []

    init(_ path: String, _ host: RunningHost, relays count: Int) throws(AgentClientError) {
        self.path = path
        self.host = host
        var relays: [HostRelay] = []
        // All are on their way before the first answer is waited for.
        for _ in 0..<count { relays.append(try makeRelay()) }
        let deadline = Deadline(afterMilliseconds: Self.patienceMilliseconds)
        for relay in relays { try relay.waitUntilListening(until: deadline) }
        unsafe self.relays = relays
    }

    private func makeRelay() throws(AgentClientError) -> HostRelay {
        try HostRelay(
            .accept(path: ByteString(path)), host, until: Deadline(afterMilliseconds: Self.patienceMilliseconds))
    }

    // SAFETY, here and below: the lock is held.
    var descriptors: [Int32] { lock.withLock { unsafe relays.map(\.number) } }

    func accept() throws(AgentClientError) -> FileDescriptor? {
        let waiting = lock.withLock { unsafe relays }
        for relay in waiting where waitUntilReadable(relay.number, until: Deadline(afterMilliseconds: 0)) {
            // A relay that has just begun to listen says so, which is not yet a connection.
            try relay.waitUntilListening(until: Deadline(afterMilliseconds: Self.patienceMilliseconds))
            guard waitUntilReadable(relay.number, until: Deadline(afterMilliseconds: 0)) else { continue }
            lock.withLock { unsafe relays.removeAll { $0 === relay } }
            try relay.waitForPeer(until: Deadline(afterMilliseconds: Self.patienceMilliseconds))
            let next = try? makeRelay()
            if let next { lock.withLock { unsafe relays.append(next) } }
            return try relay.takeSocket()
        }
        return nil
    }

    func close() { lock.withLock { unsafe relays.removeAll() } }
}

/// One connection to the agent that becomes one to a Unix socket.
///
/// The agent's answers are read no further than they go: what follows is the other side's.
private final class HostRelay: @unchecked Sendable {
    private let socket: AgentSocket
    private var isListeningSeen = false

    init(_ relay: Relay, _ host: RunningHost, until deadline: Deadline) throws(AgentClientError) {
        socket = try host.open(.relay, until: deadline)
        try socket.write(Frame(HostMessage.relay(relay), id: 1).encoded())
    }

    var number: Int32 { socket.number }

    func waitUntilListening(until deadline: Deadline) throws(AgentClientError) {
        if isListeningSeen { return }
        guard case .listening = try nextMessage(until: deadline) else { throw Self.unexpected }
        isListeningSeen = true
    }

    /// Waits for `connected`.
    func waitForPeer(until deadline: Deadline) throws(AgentClientError) {
        var message = try nextMessage(until: deadline)
        if case .listening = message, !isListeningSeen {
            isListeningSeen = true
            message = try nextMessage(until: deadline)
        }
        guard case .connected = message else { throw Self.unexpected }
    }

    /// The connection as a descriptor of its own.
    func takeSocket() throws(AgentClientError) -> FileDescriptor {
        do throws(LinuxError) {
            return FileDescriptor(owning: try fileControl(number, 1030, 3))  // F_DUPFD_CLOEXEC
        } catch {
            throw AgentClientError(.gone, "cannot duplicate a connection: \(error)")
        }
    }

    private func nextMessage(until deadline: Deadline) throws(AgentClientError) -> AgentMessage {
        let header = try socket.readExactly(frameHeaderBytes, until: deadline)
        let length = header[..<4].reversed().reduce(0) { $0 << 8 | Int($1) }
        guard length <= AgentMessage.payloadLimit else { throw Self.unexpected }
        var assembler = FrameAssembler<AgentMessage>()
        assembler.append(header)
        assembler.append(try socket.readExactly(length, until: deadline))
        do {
            guard let frame = try assembler.next() else { throw Self.unexpected }
            if case .failure(let failure) = frame.message {
                throw AgentClientError(.unreachable, failure.text.description, failure: failure)
            }
            return frame.message
        } catch let error as AgentClientError {
            throw error
        } catch {
            throw Self.unexpected
        }
    }

    private static let unexpected = AgentClientError(.malformed, "the emulated host's agent broke the protocol")
}
