import AgentClient
import AgentProtocol
import HostFiles
import LinuxCalls
import Synchronization

/// Takes a capture as it comes: to standard output as it is, into a file block by block, so that it never ends in the middle of one. Who reads
/// standard output may go, or stop reading: then nobody waits for them.
final class CaptureOutput: OutputSink {
    /// A packet of 256 KiB, and what is around it.
    private static let mostBlockBytes = 1 << 20
    /// A pipe that takes anything takes so much at once. Source: pipe(7), PIPE_BUF.
    private static let pipeBytes = 4096
    /// How often who waits for a reader looks whether it is to end.
    private static let glanceMilliseconds: UInt64 = 50
    /// How long a reader who does not read has when it is.
    private static let patienceMilliseconds: UInt64 = 2000

    private struct State {
        /// What has come of a block that is not whole.
        var rest: [UInt8] = []
        /// Of whole blocks.
        var fileBytes: UInt64 = 0
        var loss: CommandFailure?
        var messages: [UInt8] = []
        var farewell: [String] = []
    }

    /// Nil for standard output. It is open until this goes. One that was there stays as it is until the first block comes.
    private let file: Int32?
    private let path: String
    /// Whether there was none before: then none is left where nothing came.
    private let isNew: Bool
    private let state = Mutex(State())
    private let output: Int32
    private let isEnding: @Sendable () -> Bool
    /// Nobody takes any more.
    private let isUnread = Atomic<Bool>(false)

    /// - Parameters:
    ///   - file: nil for standard output.
    ///   - output: which that is.
    ///   - isEnding: whether somebody has asked for the end.
    init(file path: String?, output: Int32 = 1, isEnding: @escaping @Sendable () -> Bool) throws(CommandFailure) {
        self.path = path ?? ""
        self.output = output
        self.isEnding = isEnding
        guard let path else {
            (file, isNew) = (nil, false)
            return
        }
        // To open one waits for a reader, and no signal ends that. S_IFIFO.
        if (try? HostPath(path).status())?.kind == 0o010000 {
            throw CommandFailure(
                "capture.file", "\(path) is a pipe, and no file; let standard output lead there: -w - > \(path)")
        }
        do throws(LinuxError) {
            if let made = try? open(path, [.writeOnly, .create, .exclusive], mode: 0o644) {
                (file, isNew) = (made.release(), true)
            } else {
                (file, isNew) = (try open(path, [.writeOnly, .create], mode: 0o644).release(), false)
            }
        } catch {
            throw CommandFailure("capture.file", "\(path) cannot be written: \(error)")
        }
    }

    deinit {
        guard let file else { return }
        _ = FileDescriptor(owning: file)
        if isNew, state.withLock({ $0.fileBytes == 0 }) { try? removeFile(path) }
    }

    /// Has something done when nobody reads standard output any more, also when nothing is written: by a thread of its own.
    func whenUnread(_ body: @escaping @Sendable () -> Void) throws(CommandFailure) {
        guard file == nil else { return }
        let output = output
        do throws(LinuxError) {
            try startThread {
                var entries = [PollEntry(reading: output)]
                // Nothing but the end of whoever has the other end.
                entries[0].events = 0
                while AgentClient.wait(for: &entries, until: .never) == 0 {}
                body()
            }
        } catch { throw CommandFailure("capture.output", "standard output cannot be watched: \(error)") }
    }

    func write(_ bytes: Span<UInt8>, from stream: ProcessStream) -> Bool {
        if file == nil, stream != .standardError {
            if !isUnread.load(ordering: .relaxed), !writeOn(bytes) { isUnread.store(true, ordering: .relaxed) }
            return !isUnread.load(ordering: .relaxed)
        }
        return state.withLock { state in
            if stream == .standardError {
                tell(bytes, &state)
                return true
            }
            for index in bytes.indices { state.rest.append(bytes[index]) }
            return writeBlocks(&state)
        }
    }

    /// To standard output, as fast as it is read; when it is to end, not for ever.
    /// - Returns: false when nobody takes it.
    private func writeOn(_ bytes: Span<UInt8>) -> Bool {
        var place = 0
        var patience: Deadline?
        while place < bytes.count {
            var entries = [PollEntry(writing: output)]
            if AgentClient.wait(for: &entries, until: Deadline(afterMilliseconds: Self.glanceMilliseconds)) == 0 {
                if patience == nil, isEnding() { patience = Deadline(afterMilliseconds: Self.patienceMilliseconds) }
                if patience?.isOver == true { return false }
                continue
            }
            let end = min(place + Self.pipeBytes, bytes.count)
            do throws(LinuxError) { try writeWhole(bytes.extracting(place..<end), to: output) } catch {
                if !error.isBrokenPipe {
                    state.withLock { $0.loss = CommandFailure(OutputLoss(stream: .standardOutput, error: error)) }
                }
                return false
            }
            place = end
        }
        return true
    }

    /// What the program says of itself, line by line.
    private func tell(_ bytes: Span<UInt8>, _ state: inout State) {
        for index in bytes.indices {
            if bytes[index] != 0x0a {
                state.messages.append(bytes[index])
                continue
            }
            let line = String(decoding: state.messages, as: UTF8.self)
            state.messages.removeAll()
            let prefix = "swiftlet-fabric: "
            if line.hasPrefix(prefix) {
                // Why it ends.
                state.loss = CommandFailure("capture.failed", String(line.dropFirst(prefix.count)))
            } else if line.hasPrefix("capturing ") {
                Output.error("swiftlet: \(Table.printable(line))")
            } else {
                // It comes by another way than the packets, and is to stand behind them.
                state.farewell.append(line)
            }
        }
    }

    private func writeBlocks(_ state: inout State) -> Bool {
        guard state.loss == nil, let file else { return false }
        var end = 0
        while end + 8 <= state.rest.count {
            let length = (0..<4).reduce(0) { $0 | Int(state.rest[end + 4 + $1]) << (8 * $1) }
            guard (12...Self.mostBlockBytes).contains(length) else {
                state.loss = CommandFailure("capture.file", "what came is no capture; \(path) holds what came before")
                return false
            }
            if end + length > state.rest.count { break }
            end += length
        }
        if end == 0 { return true }
        // What is no file has no length.
        if state.fileBytes == 0 { try? changeLength(file, lengthBytes: 0) }
        do throws(LinuxError) { try writeAll(file, Array(state.rest[..<end])) } catch {
            // Half a block is nothing that anybody could read.
            try? changeLength(file, lengthBytes: state.fileBytes)
            state.loss = CommandFailure(
                "capture.file", "\(path) cannot be written any further: \(error); it is whole up to there")
            return false
        }
        state.rest.removeFirst(end)
        state.fileBytes += UInt64(end)
        return true
    }

    /// Says how it was.
    /// - Throws: what has been lost.
    func finish() throws(CommandFailure) {
        for line in state.withLock({ $0.farewell }) { Output.error("swiftlet: \(Table.printable(line))") }
        if let loss = state.withLock({ $0.loss }) { throw loss }
    }
}
