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
}
