import AgentProtocol
import Glibc
import LinuxCalls
import Synchronization
import Testing

@testable import AgentClient

/// The other side of a session: a Unix socket, and what the agent behind it does with its control connection.
final class ScriptedAgent: Sendable {
    let path: String
    private let listener: Int32
    private let streams = Mutex<[ProcessStream: Int32]>([:])

    /// The script gets the control connection; what it has not closed is closed after it.
    init(_ script: @escaping @Sendable (Conversation) -> Void) throws {
        path = "/tmp/agent-\(UInt32.random(in: .min ... .max))"
        let socket = try UnixSocket.listen(path)
        try setNonBlocking(socket.number, false)
        listener = socket.release()
        try startThread(stackBytes: 1 << 20) { [self, listener] in
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { break }
                guard let opening = try? Opening(decoding: received(connection, Opening.byteCount)) else {
                    Glibc.close(connection)
                    continue
                }
                switch opening.kind {
                case .control:
                    let conversation = Conversation(agent: self, descriptor: connection)
                    try? startThread(stackBytes: 1 << 20) {
                        script(conversation)
                        conversation.vanish()
                    }
                case .stream(let stream, _, _): streams.withLock { $0[stream] = connection }
                default: Glibc.close(connection)
                }
            }
            Glibc.close(listener)
        }
    }

    deinit {
        streams.withLock { for connection in $0.values { Glibc.close(connection) } }
        try? removeFile(path)
    }

    /// Ends the thread, and with it what holds this.
    func stop() { shutDownSocket(listener, 2) }

    /// Waits for the connection that carries that stream.
    func stream(_ stream: ProcessStream) -> Int32 {
        for _ in 0..<30_000 {
            if let connection = streams.withLock({ $0[stream] }) { return connection }
            sleep(nanoseconds: 1_000_000)
        }
        Issue.record("no connection for \(stream)")
        return -1
    }

    /// Starts a command against this agent as a command line would, with what it wrote.
    func session(
        arguments: [ByteString] = ["program"], input: Int32? = nil, prepare: (ProcessSession) -> Void = { _ in }
    ) throws -> (end: SessionEnd, output: CollectedOutput) {
        let endpoint = DirectEndpoint(path: path)
        let output = CollectedOutput()
        let start = Start(
            arguments: arguments, environment: [], workingDirectory: "/",
            streams: .pipes(input: input != nil, output: true, error: true), streamOrigin: .host,
            token: Token(first: 1, second: 2))
        let control = try AgentConnection(to: endpoint, until: Deadline(afterMilliseconds: 10_000))
        let session = try ProcessSession(start, over: control, output: output)
        session.endpoint = endpoint
        session.input = input
        prepare(session)
        return (try session.run(), output)
    }
}

/// The agent's end of a control connection.
final class Conversation: Sendable {
    let agent: ScriptedAgent
    private let descriptor: Int32

    init(agent: ScriptedAgent, descriptor: Int32) {
        self.agent = agent
        self.descriptor = descriptor
    }

    static let hello = Frame(
        AgentMessage.hello(Hello(agentVersion: "1", kernelRelease: "6", capabilities: [], uptimeNanoseconds: 0))
    ).encoded()

    func send(_ message: AgentMessage, id: UInt32 = 1) { send(Frame(message, id: id).encoded()) }
    func send(_ bytes: [UInt8]) { Self.write(bytes, to: descriptor) }
    func greet() { send(Self.hello) }

    /// The next message that this side was sent; nil at the end.
    func next() -> HostMessage? {
        let header = received(descriptor, frameHeaderBytes)
        guard header.count == frameHeaderBytes else { return nil }
        var assembler = FrameAssembler<HostMessage>()
        assembler.append(header)
        assembler.append(received(descriptor, header[..<4].reversed().reduce(0) { $0 << 8 | Int($1) }))
        return try? assembler.next()?.message
    }

    /// Greets, waits for the request to start a command, and says that it runs.
    func begin() {
        greet()
        guard case .start = next() else {
            Issue.record("no request to start a command")
            return
        }
        send(.started(processIdentifier: 7))
    }

    func write(_ text: String, to stream: ProcessStream) { Self.write(Array(text.utf8), to: agent.stream(stream)) }

    /// A session that is gone already must not end the tests by SIGPIPE.
    private static func write(_ bytes: [UInt8], to descriptor: Int32) {
        guard let copy = try? fileControl(descriptor, 1030, 3) else { return }  // F_DUPFD_CLOEXEC
        try? AgentSocket(FileDescriptor(owning: copy)).write(bytes)
    }
    func end(_ stream: ProcessStream) { shutDownSocket(agent.stream(stream), 2) }

    /// Waits until the other side has closed the connection.
    func waitForEnd() { while next() != nil {} }
    func vanish() { shutDownSocket(descriptor, 2) }
}

/// Exactly so many bytes, or fewer at the end of the stream.
private func received(_ socket: Int32, _ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count,
        let more = try? LinuxCalls.read(socket, appendingTo: &bytes, maximumBytes: count - bytes.count), more > 0
    {}
    return bytes
}
