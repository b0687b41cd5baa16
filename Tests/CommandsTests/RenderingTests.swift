import AgentClient
import AgentProtocol
import Fleet
import ImageStore
import Testing

@testable import Commands

@Suite struct RenderingTests {
    @Test func `columns are as wide as what stands in them`() {
        var table = Table("A", "LONG", "C")
        table.add("first", "x", "end")
        #expect(table.text == "A      LONG  C\nfirst  x     end")
    }

    @Test func `where lines cannot change a phase is said once, and every minute how far it is`() {
        var lines = ProgressLines()
        let second: UInt64 = 1_000_000_000
        #expect(lines.next("compiling x", detail: "0 files", nanoseconds: 5 * second) == "compiling x")
        #expect(lines.next("compiling x", detail: "9 files", nanoseconds: 64 * second) == nil)
        let line = lines.next("compiling x", detail: "10 files", nanoseconds: 65 * second)
        #expect(line == "compiling x: 1 min, 10 files")
        #expect(lines.next("compiling x", detail: "11 files", nanoseconds: 66 * second) == nil)
        #expect(lines.next("compiling x", detail: "", nanoseconds: 126 * second) == "compiling x: 2 min")
        #expect(lines.next("finishing x", detail: "", nanoseconds: 127 * second) == "finishing x")
    }

    @Test func `empty lists and objects take no lines of their own`() {
        struct Document: Encodable {
            var list: [Int] = []
            var object: [String: Int] = [:]
        }
        #expect(JSONText.encode([Int]()) == "[]")
        #expect(JSONText.encode([Document()]) == "[\n  {\n    \"list\" : [],\n    \"object\" : {}\n  }\n]")
    }

    @Test func `control characters of others do not reach the terminal`() {
        #expect(Table.printable("a\u{1b}[2Jb\nc") == "a?[2Jb?c")
    }

    @Test func `an error that quotes a guest does not steer the terminal`() {
        let failure = CommandFailure(
            FleetError(.monitorEnded, "its console ends with:\n    \u{1b}]0;x\u{7}\r\u{9b}31m"))
        #expect(failure.printableMessage == "its console ends with:\n    ?]0;x???31m")
    }

    @Test func `an error for programs has its code, message and status`() {
        let failure = CommandFailure(FleetError(.duplicateName, "taken"))
        let text = JSONText.encode(
            ErrorDocument(error: .init(code: failure.code, message: failure.message, status: failure.status)))
        #expect(text.contains("\"machine.duplicate-name\"") && text.contains("\"taken\"") && text.contains("125"))
    }

    @Test(
        arguments: [
            (Failure.Code.commandNotFound, 127), (.commandNotExecutable, 126), (.rootFileSystem, 125),
        ] as [(Failure.Code, Int32)])
    func `a program that cannot be started ends as in a shell`(code: Failure.Code, status: Int32) {
        let error = AgentClientError(.refused, "no", failure: Failure(code, text: "no"))
        #expect(CommandFailure(error).status == status)
    }

    @Test(arguments: [(0, ""), (1, "C"), (2, "bC"), (3, "abC"), (4, "xabC"), (9, "xabC")])
    func `the last lines of a log begin where the one before them ends`(lines: Int, texts: String) {
        let entries = ["T stdout F x", "T stdout P a", "T stdout F ", "T stderr F b", "T stdout P C"]
        let bytes = Array(entries.map { $0 + "\n" }.joined().utf8)
        let reader = LogReader(isRaw: false, showsTimes: false)
        let rest = String(decoding: bytes[reader.start(ofLast: lines, in: bytes)...], as: UTF8.self)
        #expect(rest.split(separator: "\n").map { $0.split(separator: " ").dropFirst(3).joined() }.joined() == texts)
        let console = LogReader(isRaw: true, showsTimes: false)
        #expect(console.start(ofLast: 1, in: Array("one\ntwo\n".utf8)) == 4)
        #expect(console.start(ofLast: 1, in: Array("one\ntwo".utf8)) == 4)
    }

    @Test func `entries of a log become what was written`() {
        var reader = LogReader(isRaw: false, showsTimes: false)
        #expect(reader.decode(Array("T stdout F hello world".utf8)[...]) == (1, Array("hello world\n".utf8)))
        #expect(reader.decode(Array("T stderr P part".utf8)[...]) == (2, Array("part".utf8)))
        #expect(reader.decode(Array("nonsense".utf8)[...]) == (1, []))
    }

    @Test func `a layer on its way is one line`() {
        let digest = "sha256:" + String(repeating: "0123456789abcdef", count: 4)
        let part = TransferredPart(digest: digest, doneBytes: 1 << 20, sizeBytes: 4 << 20)
        #expect(part.line == "  0123456789ab [######------------------] 25 % of 4 MiB")
        #expect(TransferredPart(digest: digest, doneBytes: 0, sizeBytes: 0).line.hasSuffix("0 % of 0 B"))
        #expect(ProgressBar.bar(2, width: 4) == "[####] 100 %")
    }

    @Test func `what a clean-up did is told to programs by names that stay`() {
        let text = JSONText.encode(PruneDocument(PruneReport(), isDryRun: true))
        #expect(text.contains("\"freedBytes\" : 0") && text.contains("\"isDryRun\" : true"))
    }
}
