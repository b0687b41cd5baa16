import AgentProtocol
import FileTransfer
import LinuxCalls

extension AgentServer {
    /// Serves a connection on which files are copied, one copy each.
    func serveFiles(_ handle: Handle) {
        let connection = FilesConnection(self, handle)
        var receiver: FileReceiver?
        connection.onFrame = { frame in
            do throws(Failure) {
                if let receiver {
                    let counts: FileReceiver.Counts?
                    do throws(Failure) { counts = try receiver.take(frame.message) } catch {
                        throw error.adding(receiver.leftover)
                    }
                    guard let counts else { return }
                    connection.send(.finished(entries: counts.entries, bytes: counts.bytes))
                    return connection.finish()
                }
                switch frame.message {
                case .copyIn(let request): receiver = try FileReceiver(request, root: self.system.rootNumber())
                case .copyOut(let path):
                    let sender = try FileSender(path, root: self.system.rootNumber())
                    connection.onFrame = nil
                    connection.onDrained = {
                        do throws(Failure) {
                            if let message = try sender.next() { return connection.send(message) }
                        } catch {
                            connection.send(.failure(error))
                        }
                        connection.onDrained = nil
                        connection.finish()
                    }
                default: throw Failure(.unexpectedMessage, text: "a copy begins with copyIn or copyOut")
                }
            } catch {
                connection.send(.failure(error))
                connection.finish()
            }
        }
        connection.begin()
    }
}

extension GuestSystem {
    func rootNumber() throws(Failure) -> Int32 {
        do throws(LinuxError) { return try root().number } catch { throw Failure(.fileSystem, error, "the root") }
    }
}
