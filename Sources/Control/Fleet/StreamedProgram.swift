import AgentClient
import AgentProtocol
import ChildProcesses
import LinuxCalls

/// A program of the product whose output is handed on as it comes. Its standard input is a pipe of which this process holds the other
/// end, so that it ends with this process.
final class StreamedProgram {
    private static let signalsUntilEnd = 3
    private static let pieceBytes = 64 << 10

    private let child: ChildProcess
    private let lifeline: FileDescriptor
    private var streams: [(number: Int32, stream: ProcessStream)]
    private let output: FileDescriptor
    private let messages: FileDescriptor

    init(_ arguments: [String]) throws(LinuxError) {
        let input = try PipePair()
        let output = try PipePair()
        let messages = try PipePair()
        var settings = ChildProcess.Settings(arguments)
        settings.descriptors = [0: input.reading.number, 1: output.writing.number, 2: messages.writing.number]
        // A terminal's signals come from here, once.
        settings.startsSession = true
        child = try ChildProcess(settings)
        lifeline = try input.writing.duplicate()
        self.output = try output.reading.duplicate()
        self.messages = try messages.reading.duplicate()
        streams = [(self.output.number, .standardOutput), (self.messages.number, .standardError)]
    }

    /// - Returns: whether it ended with 0, or nobody wanted more.
    func run(to sink: any OutputSink, _ signals: SignalWatcher) -> Bool {
        var isUnwanted = false
        var asked = 0
        var bytes: [UInt8] = []
        while !streams.isEmpty {
            var entries = streams.map { PollEntry(reading: $0.number) } + [PollEntry(reading: signals.descriptor)]
            guard wait(for: &entries, until: .never) > 0 else { continue }
            while let signal = signals.next() {
                guard SignalWatcher.asksForTheEnd(signal) else { continue }
                asked += 1
                child.send(signal: asked < Self.signalsUntilEnd ? SignalNumber.terminate : SignalNumber.kill)
            }
            for (entry, each) in zip(entries, streams) where entry.isReady {
                let count = (try? read(each.number, appendingTo: &bytes, maximumBytes: Self.pieceBytes)) ?? 0
                if count == 0 {
                    streams.removeAll { $0.number == each.number }
                } else if !sink.write(bytes.span, from: each.stream), each.stream == .standardOutput, !isUnwanted {
                    isUnwanted = true
                    child.send(signal: SignalNumber.terminate)
                }
                bytes.removeAll(keepingCapacity: true)
            }
        }
        return child.wait() == .exited(0) || isUnwanted
    }
}
