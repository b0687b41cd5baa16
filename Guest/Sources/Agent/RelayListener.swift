import AgentProtocol
import FileTransfer
import LinuxCalls

/// A Unix socket that the agent made for the host: each connection to it goes to one relay that waits.
///
/// Lives as long as a relay waits or works; then the socket's name is removed.
final class RelayListener: EventHandler {
    let path: ByteString
    private let server: AgentServer
    private let handle: Handle
    private let folder: Handle
    private let name: ByteString
    private var watch = Watch()
    private var waiting: [ControlConnection] = []
    private var isClosed = false

    init(_ server: AgentServer, _ path: ByteString) throws(Failure) {
        self.server = server
        self.path = path
        do throws(LinuxError) {
            (folder, name) = try server.system.parent(of: path)
            handle = Handle(try UnixSocket.listen(server.system.socketPath(in: folder.number, name)))
        } catch {
            throw Failure(.relay, error, "cannot listen at \"" + path + "\"")
        }
    }

    func wait(_ connection: ControlConnection) {
        waiting.append(connection)
        connection.onClose = {
            self.waiting.removeAll { $0 === connection }
            self.closeIfUnused()
        }
        watch.want(.readable, handle.number, server.loop, self)
    }

    func handleEvent(token: UInt32, readiness: Readiness) {
        while !isClosed, let connection = waiting.first {
            guard let accepted = try? StreamSocket.accept(handle.number) else { return }
            waiting.removeFirst()
            connection.onClose = nil
            let far = Handle(accepted)
            connection.send(.connected)
            let (near, first) = connection.detach()
            _ = Channel(server, near: near, far: far, .socket, inbound: true, outbound: true, first: first)
        }
        // With nobody to take it, a caller waits in the kernel's queue.
        if waiting.isEmpty { watch.want([], handle.number, server.loop, self) }
        closeIfUnused()
    }

    private func closeIfUnused() { if waiting.isEmpty { close() } }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        watch.want([], handle.number, server.loop, self)
        try? FileTree.remove(name.bytes, in: folder.number)
        handle.close()
        server.relayListeners.removeAll { $0 === self }
    }
}
