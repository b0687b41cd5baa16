public import AgentProtocol

/// How connections to one agent are opened from this side.
public protocol AgentEndpoint: AnyObject, Sendable {
    /// A connection that carries what the opening said it would.
    func open(_ kind: Opening.Kind, until deadline: Deadline) throws(AgentClientError) -> AgentSocket
}

/// An agent behind a monitor's vsock: a Unix socket on which `CONNECT port` is said first.
/// Source: Firecracker, docs/vsock.md, "Host-initiated connections".
public final class VsockEndpoint: AgentEndpoint {
    public static let agentPort: UInt32 = 1024
    /// The longest answer to `CONNECT` that is believed: `OK 4294967295` and a newline.
    private static let maximumAnswerBytes = 32

    private let path: String
    private let domain: any SocketDomain

    /// `path` is the monitor's `uds_path`, in that domain.
    public init(path: String, domain: any SocketDomain) {
        self.path = path
        self.domain = domain
    }

    public func open(_ kind: Opening.Kind, until deadline: Deadline) throws(AgentClientError) -> AgentSocket {
        let socket = AgentSocket(try domain.connect(path, until: deadline))
        try socket.write(Array("CONNECT \(Self.agentPort)\n".utf8))
        var answer: [UInt8] = []
        while answer.last != UInt8(ascii: "\n") {
            // One byte at a time: what follows the line belongs to the protocol.
            guard answer.count < Self.maximumAnswerBytes,
                try socket.readSome(appendingTo: &answer, maximumBytes: 1, until: deadline)
            else {
                throw AgentClientError(
                    .unreachable, "the machine's monitor did not pass the connection on: no agent listens")
            }
        }
        guard answer.starts(with: Array("OK ".utf8)) else {
            throw AgentClientError(
                .unreachable,
                "the machine's monitor did not pass the connection on: \"\(String(decoding: answer.dropLast(), as: UTF8.self))\""
            )
        }
        try socket.write(Opening(kind).encoded())
        return socket
    }
}

/// An agent at a Unix socket of its own: in tests, where it runs as an ordinary process.
public final class DirectEndpoint: AgentEndpoint {
    private let path: String
    private let domain: any SocketDomain
    private let secret: Secret

    public init(path: String, secret: Secret = .none, domain: any SocketDomain = LocalSockets()) {
        self.path = path
        self.domain = domain
        self.secret = secret
    }

    public func open(_ kind: Opening.Kind, until deadline: Deadline) throws(AgentClientError) -> AgentSocket {
        let socket = AgentSocket(try domain.connect(path, until: deadline))
        try socket.write(Opening(kind, secret: secret).encoded())
        return socket
    }
}
