import AgentProtocol
import Foundation
import LinuxCalls
import Testing

@testable import Agent

@Suite(.serialized) struct ProcessListTests {
    private func list(_ control: TestControl) throws -> [ProcessList.Entry] {
        var entries: [ProcessList.Entry] = []
        while true {
            try control.send(.processes(after: entries.last?.identifier ?? 0), id: 5)
            guard case .processes(let list) = try control.next().message else { throw LinuxError.protocolError }
            entries += list.entries
            if list.isLast { return entries }
        }
    }

    @Test func aProcessIsListedWithWhatTheKernelSaysOfIt() throws {
        let agent = try TestAgent()
        let child = Process()
        child.executableURL = URL(fileURLWithPath: "/bin/sh")
        child.arguments = ["-c", "sleep 100; :", "a b"]
        try child.run()
        defer { child.terminate() }
        let control = try agent.control()
        let entries = try list(control)
        let found = try #require(entries.first { $0.identifier == UInt32(child.processIdentifier) })
        #expect(found.command.description.hasSuffix("sleep 100; : a b"))
        #expect(found.parent == UInt32(getpid()) && found.user == geteuid() && found.threads == 1)
        #expect(found.residentBytes > 0 && found.startedNanoseconds > 0 && found.startedNanoseconds < UInt64(1) << 60)
        #expect(entries.map(\.identifier) == entries.map(\.identifier).sorted())
        #expect(Set(entries.map(\.identifier)).count == entries.count)
    }

    @Test func moreProcessesThanAnAnswerHoldsComeInSeveral() throws {
        let agent = try TestAgent()
        let children = try (0..<150).map { _ in
            let child = Process()
            child.executableURL = URL(fileURLWithPath: "/bin/sleep")
            child.arguments = ["100"]
            try child.run()
            return child
        }
        defer { for child in children { child.terminate() } }
        let control = try agent.control()
        let found = Set(try list(control).map(\.identifier))
        #expect(children.allSatisfy { found.contains(UInt32($0.processIdentifier)) })
    }

    @Test func aNameMayHoldAnything() throws {
        let fields = "R 7 7 7 0 -1 4194304 1 0 0 0 250 50 0 0 20 0 3 0 1200 1000000 5 18446744073709551615"
        let stat = Array("9 (a) S 1 ( b)) \(fields)\n".utf8)
        let entry = try #require(
            ProcessList.Entry(
                stat: stat, arguments: [], status: Array("Name:\tx\nUid:\t1\t1000\t0\t0\n".utf8)))
        #expect(entry.command == "[a) S 1 ( b)]" && entry.parent == 7 && entry.user == 1000 && entry.threads == 3)
        #expect(entry.processorNanoseconds == 3_000_000_000 && entry.startedNanoseconds == 12_000_000_000)
        #expect(entry.residentBytes == 20480 && entry.state == UInt8(ascii: "R"))
        let long = ProcessList.Entry(
            stat: stat, arguments: [UInt8](repeating: 0, count: 3) + [UInt8](repeating: 0x61, count: 4000), status: [])
        #expect(long?.command.count == Limits.listedCommandBytes && long?.command.containsZero == false)
        #expect(ProcessList.Entry(stat: Array(")(".utf8), arguments: [], status: []) == nil)
        #expect(ProcessList.Entry(stat: Array("9 (x) R 1 2".utf8), arguments: [], status: []) == nil)
        let kernels = fields.replacingOccurrences(of: "4194304", with: "2097216")
        #expect(ProcessList.Entry(stat: Array("2 (k) \(kernels)".utf8), arguments: [], status: []) == nil)
    }
}
