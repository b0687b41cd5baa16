import LinuxCalls
import Testing

@testable import AgentClient

@Suite struct WaitingTests {
    @Test func `a deadline that is over does not wait`() throws {
        let pipe = try PipePair()
        #expect(!waitUntilReadable(pipe.reading.number, until: Deadline(afterMilliseconds: 0)))
        try writeAll(pipe.writing.number, "x")
        #expect(waitUntilReadable(pipe.reading.number, until: Deadline(afterMilliseconds: 0)))
    }

    @Test func `deadlines too far away are never over`() {
        #expect(Deadline(afterMilliseconds: .max).remaining == nil)
        #expect(!Deadline(after: .seconds(Int64.max)).isOver)
        #expect(Deadline(after: .seconds(-5)).isOver)
    }

    @Test func `a deadline is over when somebody asks for the end`() throws {
        let pipe = try PipePair()
        let ends = try SharedEndRequest()
        let deadline = Deadline(afterMilliseconds: 60_000).orReadable(ends.descriptor)
        #expect(!deadline.isOver)
        #expect(ends.endingSignal() == nil)
        try startThread {
            sleep(nanoseconds: 20_000_000)
            ends.make(SignalNumber.terminate)
            ends.make(SignalNumber.interrupt)
        }
        #expect(!waitUntilReadable(pipe.reading.number, until: deadline))
        #expect(deadline.isOver)
        #expect(ends.endingSignal() == SignalNumber.terminate)
        // What is there is seen all the same, and the entries are those that were given.
        try writeAll(pipe.writing.number, "x")
        var entries = [PollEntry(reading: pipe.reading.number)]
        #expect(wait(for: &entries, until: deadline) == 1)
        #expect(entries.count == 1 && entries[0].isReadable)
    }

    @Test func `a read without a time limit ends when somebody asks for that`() throws {
        let pipe = try PipePair()
        let ends = try SharedEndRequest()
        let socket = AgentSocket(try pipe.reading.duplicate())
        ends.make(SignalNumber.terminate)
        let error = #expect(throws: AgentClientError.self) {
            try socket.readExactly(1, until: .never.orReadable(ends.descriptor))
        }
        #expect(error?.code == .silent)
    }
}
