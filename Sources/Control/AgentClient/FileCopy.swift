import AgentProtocol
import FileTransfer
import LinuxCalls

/// How much has been copied.
public struct CopyProgress: Equatable, Sendable {
    public var entries: UInt64 = 0
    public var bytes: UInt64 = 0
}

/// Copies files and folders between this side and a guest.
///
/// A file is whole at its destination or not there: one that did not get whole is removed, by whichever side writes it.
public enum FileCopy {
    public static let usualPatience = Duration.seconds(30)

    /// Copies `source`, with all that lies in it, to `destination` in the guest: into it where it is a folder.
    /// `source` must be absolute.
    ///
    /// - Parameters:
    ///   - patience: how long the machine may go without taking or sending a byte.
    ///   - signals: ends the copy when one comes.
    public static func into(
        _ endpoint: any AgentEndpoint, from source: String, to destination: String,
        patience: Duration = usualPatience, signals: SignalWatcher? = nil, progress: (CopyProgress) -> Void = { _ in }
    ) throws(AgentClientError) {
        try checkGuestPath(destination)
        let root = try localRoot()
        let sender: FileSender
        do throws(Failure) { sender = try FileSender(ByteString(source), root: root.number) } catch {
            throw local(error)
        }
        let channel = try TransferChannel(endpoint, patience: patience, signals: signals)
        try channel.send(.copyIn(CopyIn(destination: ByteString(destination), name: ByteString(lastName(source)))))
        var done = CopyProgress()
        while true {
            let message: TransferMessage?
            do throws(Failure) { message = try sender.next() } catch { throw local(error) }
            guard let message else { break }
            if case .entry = message { done.entries += 1 }
            if case .data(let bytes) = message { done.bytes += UInt64(bytes.count) }
            try channel.send(message)
            progress(done)
        }
        switch try channel.receive() {
        case .finished: return
        case .failure(let failure): throw AgentClientError(failure)
        default: throw AgentClientError(.gone, "the machine closed the connection before the copy was done")
        }
    }

    /// Copies `source` of the guest to `destination` here: into it where it is a folder. `destination` must be absolute.
    ///
    /// Trust: the guest names the files. The receiver makes them below `destination` and nowhere else, and takes neither
    /// owners nor set-user-id bits over.
    public static func outOf(
        _ endpoint: any AgentEndpoint, from source: String, to destination: String,
        patience: Duration = usualPatience, signals: SignalWatcher? = nil, progress: (CopyProgress) -> Void = { _ in }
    ) throws(AgentClientError) {
        try checkGuestPath(source)
        let root = try localRoot()
        let receiver: FileReceiver
        do throws(Failure) {
            receiver = try FileReceiver(
                CopyIn(destination: ByteString(destination), name: ByteString(lastName(source))), root: root.number,
                permissionMask: 0o777)
        } catch {
            throw local(error)
        }
        let channel = try TransferChannel(endpoint, patience: patience, signals: signals)
        do throws(AgentClientError) {
            try channel.send(.copyOut(path: ByteString(source)))
            while let message = try channel.receive() {
                if case .failure(let failure) = message { throw AgentClientError(failure) }
                do throws(Failure) {
                    if try receiver.take(message) != nil { return }
                } catch {
                    throw local(error)
                }
                progress(CopyProgress(entries: receiver.counts.entries, bytes: receiver.counts.bytes))
            }
            throw AgentClientError(.gone, "the machine closed the connection before the copy was done")
        } catch {
            throw error.adding(receiver.leftover.description)
        }
    }

    private static func localRoot() throws(AgentClientError) -> FileDescriptor {
        do throws(LinuxError) { return try open("/", [.readOnly, .directory]) } catch {
            throw AgentClientError(.localFile, "cannot open /: \(error)")
        }
    }

    private static func local(_ failure: Failure) -> AgentClientError {
        AgentClientError(.localFile, "on this side: \(failure.text)")
    }

    private static func checkGuestPath(_ path: String) throws(AgentClientError) {
        guard path.hasPrefix("/") else {
            throw AgentClientError(.refused, "\"\(path)\" is no path in the machine: it must begin with /")
        }
    }

    /// The name that the copy gets inside an existing folder; empty for `.`, `..` and `/`, whose contents are copied.
    static func lastName(_ path: String) -> String {
        let name = path.split(separator: "/").last.map(String.init) ?? ""
        return name == "." || name == ".." ? "" : name
    }
}

/// A connection that carries files, on which something must happen for as long as one waits.
final class TransferChannel {
    private let socket: AgentSocket
    private let patience: Duration
    private let signals: SignalWatcher?
    private var assembler = FrameAssembler<TransferMessage>()

    init(
        _ endpoint: any AgentEndpoint, patience: Duration, signals: SignalWatcher?
    ) throws(AgentClientError) {
        socket = try endpoint.open(.files, until: Deadline(after: patience))
        self.patience = patience
        self.signals = signals
    }

    /// A receiver that has given up says why before it closes; its reason is worth more than the broken pipe.
    func send(_ message: TransferMessage) throws(AgentClientError) {
        let bytes = Frame(message).encoded()
        var sent = 0
        do throws(AgentClientError) {
            while sent < bytes.count {
                let count = try socket.writeSome(bytes[sent...])
                sent += count
                if count == 0 { try wait(PollEntry(writing: socket.number)) }
            }
        } catch {
            if error.code == .gone, case .failure(let failure) = try receive() { throw AgentClientError(failure) }
            throw error
        }
    }

    /// The next message, nil at the end.
    func receive() throws(AgentClientError) -> TransferMessage? {
        while true {
            do throws(ProtocolError) {
                if let frame = try assembler.next() { return frame.message }
            } catch {
                throw AgentClientError(error)
            }
            try wait(PollEntry(reading: socket.number))
            var bytes: [UInt8] = []
            guard try socket.readSome(appendingTo: &bytes, maximumBytes: 64 << 10, until: .never) else { return nil }
            assembler.append(bytes)
        }
    }

    private func wait(_ entry: PollEntry) throws(AgentClientError) {
        let deadline = Deadline(after: patience)
        var entries = [entry, PollEntry(reading: signals?.descriptor ?? -1)]
        while true {
            AgentClient.wait(for: &entries, until: deadline)
            while let signal = signals?.next() {
                guard SignalWatcher.asksForTheEnd(signal) else { continue }
                throw AgentClientError(.interrupted, "the copy was ended by signal \(signal)", signal: signal)
            }
            if entries[0].isReady { return }
            if deadline.isOver {
                throw AgentClientError(
                    .silent,
                    "the machine has \(entry.events & 1 != 0 ? "sent" : "taken") nothing for \(patience); the copy is given up"
                )
            }
        }
    }
}
