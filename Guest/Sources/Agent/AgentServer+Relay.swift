import AgentProtocol
import FileTransfer
import LinuxCalls

extension AgentServer {
    /// Serves a connection that is to become another one.
    func serveRelay(_ handle: Handle) {
        let connection = ControlConnection(self, handle)
        connection.onFrame = { frame in
            do throws(Failure) {
                guard case .relay(let relay) = frame.message else {
                    throw Failure(.unexpectedMessage, text: "this connection takes one relay request")
                }
                connection.onFrame = nil
                switch relay {
                case .dial(let path): try self.relay(connection, to: path)
                case .accept(let path): try self.relay(connection, from: path)
                }
            } catch {
                connection.send(.failure(error), id: frame.id)
                connection.finish()
            }
        }
        connection.begin()
    }

    private func relay(_ connection: ControlConnection, to path: ByteString) throws(Failure) {
        let far: Handle
        do throws(LinuxError) {
            let (folder, name) = try system.parent(of: path)
            far = Handle(try UnixSocket.connect(system.socketPath(in: folder.number, name)))
        } catch {
            throw Failure(.relay, error, "cannot connect to \"" + path + "\"")
        }
        connection.send(.connected)
        let (near, first) = connection.detach()
        _ = Channel(self, near: near, far: far, .socket, inbound: true, outbound: true, first: first)
    }

    private func relay(_ connection: ControlConnection, from path: ByteString) throws(Failure) {
        let listener: RelayListener
        if let existing = relayListeners.first(where: { $0.path == path }) {
            listener = existing
        } else {
            listener = try RelayListener(self, path)
            relayListeners.append(listener)
        }
        connection.send(.listening)
        listener.wait(connection)
    }
}
