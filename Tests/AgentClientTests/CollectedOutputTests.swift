import AgentProtocol
import Testing

@testable import AgentClient

@Suite struct CollectedOutputTests {
    @Test func `of a program that writes without an end only the last is kept`() {
        let output = CollectedOutput(mostBytes: 100)
        for number in 0..<1000 {
            let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 7)
            _ = output.write(bytes.span, from: .standardOutput)
            #expect(output.keptBytes <= 2 * 100 + 7)
        }
        let kept = output.bytes(of: .standardOutput)
        #expect(kept.count == 100 && kept.last == UInt8(truncatingIfNeeded: 999))
        #expect(output.bytes(of: .standardError).isEmpty)
    }

    @Test func `without a limit everything is kept`() {
        let output = CollectedOutput()
        for _ in 0..<100 { _ = output.write([1, 2, 3].span, from: .standardError) }
        #expect(output.bytes(of: .standardError).count == 300)
    }
}
