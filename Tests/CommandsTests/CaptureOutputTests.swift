import AgentProtocol
import Glibc
import LinuxCalls
import Synchronization
import Testing

@testable import Commands

/// What a capture writes on, to a reader that goes, or does not read.
@Suite struct CaptureOutputTests {
    private final class Flag: Sendable {
        private let value = Atomic<Bool>(false)
        var isSet: Bool { value.load(ordering: .acquiring) }
        func set() { value.store(true, ordering: .releasing) }
    }

    @Test(.timeLimit(.minutes(1))) func `a reader who goes is noticed, though nothing is written`() throws {
        let pipe = try PipePair()
        let writing = try pipe.writing.duplicate()
        let output = try CaptureOutput(file: nil, output: writing.number) { false }
        let (gone, ended) = (Flag(), Flag())
        try output.whenUnread {
            // Not before it is so.
            #expect(gone.isSet)
            ended.set()
        }
        sleep(nanoseconds: 20_000_000)
        gone.set()
        _ = consume pipe
        while !ended.isSet { sleep(nanoseconds: 1_000_000) }
        extendLifetime(output)
        extendLifetime(writing)
    }

    @Test(.timeLimit(.minutes(1))) func `a reader who does not read is not waited for when it is to end`() throws {
        let pipe = try PipePair()
        let asked = Flag()
        let output = try CaptureOutput(file: nil, output: pipe.writing.number) { asked.isSet }
        // More than the pipe holds, which is written on while somebody reads.
        let bytes = [UInt8](repeating: 7, count: 1 << 20)
        let number = pipe.reading.number
        let taken = Flag()
        try startThread {
            var (all, piece) = (0, [UInt8]())
            while all < 1 << 20 {
                all += (try? read(number, appendingTo: &piece, maximumBytes: 1 << 16)) ?? 0
                piece.removeAll()
            }
            taken.set()
        }
        func isTaken() -> Bool { output.write(bytes.span, from: .standardOutput) }
        #expect(isTaken())
        while !taken.isSet { sleep(nanoseconds: 1_000_000) }
        asked.set()
        #expect(!isTaken())
        // From then on at once.
        let begin = Clock.monotonic.nanoseconds()
        #expect(!isTaken())
        #expect(Clock.monotonic.nanoseconds() - begin < 1_000_000_000)
        extendLifetime(pipe)
    }

    @Test(.timeLimit(.minutes(1))) func `a pipe in a file's place is refused, and not waited for`() throws {
        let path = "/tmp/capture-\(UInt64.random(in: 0...UInt64.max))"
        defer { try? removeFile(path) }
        // SAFETY: the name is there during the call.
        let made = unsafe mkfifo(path, 0o600)
        #expect(made == 0)
        let error = #expect(throws: CommandFailure.self) { _ = try CaptureOutput(file: path) { false } }
        #expect(error?.message.contains("is a pipe") == true && error?.message.contains("-w - > \(path)") == true)
    }
}
