import AgentProtocol
import LinuxCalls

/// How the agent and its host reach each other.
public enum Transport: Sendable {
    /// Between a guest and its host; the agent listens and dials on the same port.
    case vsock(port: UInt32)
    /// In the emulated host: the agent listens, and nobody can be dialled.
    case tcp(port: UInt16)
    /// For tests and tools on one machine.
    case unix(listen: ByteString, dial: ByteString)

    func listen() throws(LinuxError) -> FileDescriptor {
        switch self {
        case .vsock(let port): return try VsockSocket.listen(port: port)
        case .tcp(let port): return try TCPSocket.listen(port: port)
        case .unix(let path, _): return try UnixSocket.listen(path.bytes)
        }
    }

    func dial() throws(LinuxError) -> FileDescriptor {
        switch self {
        case .vsock(let port): return try VsockSocket.connect(to: VsockSocket.host, port: port)
        case .tcp: throw LinuxError.connectionRefused
        case .unix(_, let path): return try UnixSocket.connect(path.bytes)
        }
    }

    /// Whether the one who made this connection may speak for the host. In a guest nobody but the host may: its own
    /// programs reach the agent's port too, where the kernel carries vsock within a machine.
    func isFromHost(_ connection: Int32) -> Bool {
        guard case .vsock = self else { return true }
        return VsockSocket.peer(connection) == VsockSocket.host
    }

    /// Whether anybody on the machine can connect, so that a secret must be shown.
    var needsSecret: Bool { if case .tcp = self { true } else { false } }
}
