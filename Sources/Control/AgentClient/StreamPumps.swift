import AgentProtocol
import CLinux
public import LinuxCalls
import Synchronization

private let bufferBytes = 64 << 10

extension LinuxError {
    var isTryAgain: Bool { number == EAGAIN }
    public var isBrokenPipe: Bool { number == EPIPE }
}

/// A thread that carries what a command writes to a sink.
final class OutputPump: Sendable {
    private let isDone = Atomic<Bool>(false)
    /// While the sink is taking bytes: the reader of our output may be slow, which is no reason to give up.
    private let isWriting = Atomic<Bool>(false)
    private let lastActivity: Atomic<UInt64>

    /// - Parameter finished: raised when the stream has ended.
    init(
        _ socket: AgentSocket, _ stream: ProcessStream, to sink: any OutputSink, finished: SharedEvent
    ) throws(LinuxError) {
        lastActivity = Atomic(Clock.monotonic.nanoseconds())
        try startThread { [self] in
            run(socket, stream, sink)
            isDone.store(true, ordering: .releasing)
            finished.signal()
        }
    }

    var hasEnded: Bool { isDone.load(ordering: .acquiring) }

    /// How long nothing has happened.
    var idleNanoseconds: UInt64 {
        if isWriting.load(ordering: .relaxed) { return 0 }
        let now = Clock.monotonic.nanoseconds()
        let last = lastActivity.load(ordering: .relaxed)
        return now > last ? now - last : 0
    }

    private func run(_ socket: AgentSocket, _ stream: ProcessStream, _ sink: any OutputSink) {
        var buffer = [UInt8](repeating: 0, count: bufferBytes)
        while true {
            guard let count = readSome(socket.number, into: &buffer), count > 0 else { return }
            isWriting.store(true, ordering: .relaxed)
            let isWanted = sink.write(buffer.span.extracting(0..<count), from: stream)
            isWriting.store(false, ordering: .relaxed)
            lastActivity.store(Clock.monotonic.nanoseconds(), ordering: .relaxed)
            if !isWanted {
                // The command learns it as it would of a closed pipe.
                socket.abort()
                return
            }
        }
    }
}

/// Starts a thread that carries a descriptor's bytes to the command. It ends with its source, or with the process.
/// - Parameter isOwned: whether the source is closed at the thread's end, and when there is none.
func startInputPump(from source: Int32, isOwned: Bool = false, to socket: AgentSocket) throws(LinuxError) {
    @Sendable func close() {
        if isOwned { _ = FileDescriptor(owning: source) }
    }
    do throws(LinuxError) {
        try startThread {
            var buffer = [UInt8](repeating: 0, count: bufferBytes)
            while true {
                guard let count = readSome(source, into: &buffer), count > 0,
                    (try? socket.write(buffer.span.extracting(0..<count))) != nil
                else { break }
            }
            close()
            socket.finishSending()
        }
    } catch {
        close()
        throw error
    }
}

/// Reads what is there, waiting for it; nil when the descriptor cannot be read.
private func readSome(_ descriptor: Int32, into buffer: inout [UInt8]) -> Int? {
    while true {
        do throws(LinuxError) {
            // SAFETY: the kernel writes only inside the array, which outlives the call.
            return unsafe try buffer.withUnsafeMutableBufferPointer { bytes throws(LinuxError) in
                unsafe try read(descriptor, into: UnsafeMutableRawBufferPointer(bytes))
            }
        } catch {
            guard error.isTryAgain else { return nil }
            _ = waitUntilReadable(descriptor, until: .never)
        }
    }
}
