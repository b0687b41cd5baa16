import AgentProtocol
import FileTransfer
import LinuxCalls

/// What a program does to have its settings kept: it makes a file, and the host is told. Documentation/settings.md.
final class SettingsRequests: EventHandler {
    private static let request: ByteString = "settings.commit"
    private static let answer: ByteString = "settings.answer"
    private let folder: Handle
    private let watch: FolderWatch
    var listener: ControlConnection

    /// - Parameter path: of the folder in which the settings are, as the agent finds it.
    init(_ path: ByteString, _ listener: ControlConnection) throws(LinuxError) {
        folder = Handle(try FileTree.open(path.bytes, [.path, .directory]))
        watch = try FolderWatch(path.bytes)
        self.listener = listener
    }

    var descriptor: Int32 { watch.descriptor.number }

    func handleEvent(token: UInt32, readiness: Readiness) {
        watch.drain()
        // Only a file that is taken away asks: once for each.
        guard (try? FileTree.remove(Self.request.bytes, in: folder.number)) != nil else { return }
        // So that the answer which comes is the answer to this.
        try? FileTree.remove(Self.answer.bytes, in: folder.number)
        listener.send(.settingsProposed)
    }
}
