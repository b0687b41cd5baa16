import CLinux
public import LinuxCalls

/// Where a monitor's Unix sockets are: on this machine, or inside the emulated host.
public protocol SocketDomain: AnyObject, Sendable {
    /// A blocking connection to the socket at `path`.
    /// - Throws: `unreachable` when nobody listens there.
    func connect(_ path: String, until deadline: Deadline) throws(AgentClientError) -> FileDescriptor

    /// Takes connections at `path`, which is free, until the listener is let go of.
    /// - Parameter expecting: how many will come at about the same time.
    func listen(_ path: String, expecting: Int) throws(AgentClientError) -> any SocketListener
}

/// Takes connections at one path.
public protocol SocketListener: AnyObject, Sendable {
    /// Something to accept makes one of these readable.
    var descriptors: [Int32] { get }
    /// The next connection, blocking from then on, or nil when none waits.
    func accept() throws(AgentClientError) -> FileDescriptor?
    /// Ends listening and removes the path.
    func close()
}

/// This machine's sockets.
public final class LocalSockets: SocketDomain {
    public init() {}

    public func connect(_ path: String, until deadline: Deadline) throws(AgentClientError) -> FileDescriptor {
        while true {
            do throws(LinuxError) {
                let socket = try UnixSocket.connect(path)
                try setNonBlocking(socket.number, false)
                return socket
            } catch {
                // The listener's queue is full for a moment.
                if error.number == EAGAIN, !deadline.isOver {
                    sleep(nanoseconds: 1_000_000)
                    continue
                }
                throw AgentClientError(.unreachable, "nobody answers at \(path): \(error)")
            }
        }
    }

    public func listen(_ path: String, expecting: Int) throws(AgentClientError) -> any SocketListener {
        do throws(LinuxError) {
            try removeFile(path)
            return LocalListener(try UnixSocket.listen(path), path: path)
        } catch {
            throw AgentClientError(.unreachable, "cannot listen at \(path): \(error)")
        }
    }
}

private final class LocalListener: SocketListener {
    private let socket: FileDescriptor
    private let path: String

    init(_ socket: consuming FileDescriptor, path: String) {
        self.socket = socket
        self.path = path
    }

    var descriptors: [Int32] { [socket.number] }

    func accept() throws(AgentClientError) -> FileDescriptor? {
        do throws(LinuxError) {
            guard let connection = try UnixSocket.accept(socket.number) else { return nil }
            try setNonBlocking(connection.number, false)
            return consume connection
        } catch {
            throw AgentClientError(.unreachable, "cannot accept at \(path): \(error)")
        }
    }

    func close() {
        shutDownSocket(socket.number, 2)
        try? removeFile(path)
    }
}
