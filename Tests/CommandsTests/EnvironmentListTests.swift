import Foundation
import Testing

@testable import Commands

@Suite struct EnvironmentListTests {
    private func failure(ofFile content: [UInt8]) throws -> CommandFailure? {
        let path = NSTemporaryDirectory() + "variables-\(UInt64.random(in: 0...UInt64.max))"
        try Data(content).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        let failure = #expect(throws: CommandFailure.self) {
            try EnvironmentList.merged([], files: [path], settings: [], hasTerminal: false)
        }
        #expect(failure?.message.contains(path) == true)
        return failure
    }

    @Test func `a line of a file that sets nothing is told with its number`() throws {
        let failure = try failure(ofFile: Array("# comment\n\nA=1\n=2\n".utf8))
        #expect(failure?.message.contains("line 4") == true)
    }

    @Test func `a file of variables that is no text is refused`() throws {
        #expect(try failure(ofFile: Array("A=".utf8) + [0xff, 0x0a])?.code == "usage.not-utf8")
    }

    @Test func `a file of variables that is too large is told with the limit`() throws {
        let content = [UInt8](repeating: 0x23, count: (1 << 20) + 1)
        #expect(try failure(ofFile: content)?.message.contains("1 MiB") == true)
    }
}
