import AgentProtocol
import Foundation
import LinuxCalls
import Testing

@Suite(.serialized) struct ProcessTests {
    @Test func aCommandGetsItsInputAndGivesItsOutputErrorAndStatus() throws {
        let agent = try TestAgent()
        let result = try agent.run(start("sh", "-c", "cat; echo problem >&2; exit 3"), input: "one\ntwo\n")
        #expect(result == ("one\ntwo\n", "problem\n", 3))
    }

    @Test func whatDidNotRunHasTheStatusThatAShellGives() throws {
        let agent = try TestAgent()
        let missing = try agent.run(start("no-such-command"))
        #expect(missing.status == 127 && missing.error.contains("no-such-command"))
        #expect(try agent.run(start("/etc/passwd"), id: 2).status == 126)
        #expect(try agent.run(start("/no/such/path"), id: 3).status == 127)
        let user = try agent.run(start("true", user: "no-such-user"), id: 4)
        #expect(user.status == 125 && user.error.contains("no-such-user"))
        #expect(try agent.run(start("sh", "-c", "kill -TERM $$"), id: 5).status == 143)
    }

    @Test func environmentAndDirectoryAreThoseAskedFor() throws {
        let agent = try TestAgent()
        let folder = ByteString(agent.folder + "/new/deep")
        let result = try agent.run(
            start("sh", "-c", "echo $A; pwd; echo $HOME $PATH", environment: ["A=b c"], workingDirectory: folder))
        let lines = result.output.split(separator: "\n")
        #expect(lines.count == 3 && lines[0] == "b c" && lines[1] == folder.description)
        #expect(lines.last?.contains("/usr/local/sbin:/usr/local/bin") == true)
    }

    @Test(.enabled(if: getuid() == 0, "takes on another user: needs root"))
    func aCommandRunsAsTheUserAskedFor() throws {
        let agent = try TestAgent()
        #expect(try agent.run(start("id", "-u", user: "nobody")).output == "65534\n")
        #expect(try agent.run(start("id", "-G", user: "1234:5678")).output == "5678\n")
    }

    @Test func theAgentDialsTheStreamsWhenAskedTo() throws {
        let agent = try TestAgent(dials: true)
        let (opening, connection) = try agent.acceptFromAgent()
        #expect(opening.kind == .control)
        let control = TestControl(connection)
        // Configuration and command in one piece, before the greeting was read.
        var configuration = Configuration()
        configuration.standardMounts = []
        configuration.writesNameFiles = false
        let command = start(
            "echo", "hello", streams: .pipes(input: false, output: true, error: false), origin: .agent)
        try connection.send(
            Frame(HostMessage.configure(configuration), id: 1).encoded() + Frame(command, id: 2).encoded())
        let (stream, output) = try agent.acceptFromAgent()
        #expect(stream.kind == .stream(.standardOutput, process: 2, token: testToken))
        #expect(try output.text() == "hello\n")
        var seen: [AgentMessage] = []
        for _ in 0..<4 { seen.append(try control.next().message) }
        #expect(seen.contains(.configured) && seen.contains(.exited(.exited(0))))
    }

    @Test func aTerminalHasItsSizeAndHearsOfANewOne() throws {
        let agent = try TestAgent()
        let control = try agent.control()
        let script: ByteString = "trap 'stty size; exit 5' WINCH; stty size; while :; do sleep 0.05; done"
        try control.send(
            start("sh", "-c", script, streams: .terminal(TerminalSize(rows: 40, columns: 100))), id: 7)
        let terminal = try agent.stream(.terminal, 7)
        #expect(String(decoding: try terminal.receive(exactly: 8), as: UTF8.self) == "40 100\r\n")
        try control.send(.resize(TerminalSize(rows: 30, columns: 90)), id: 7)
        #expect(try terminal.text() == "30 90\r\n")
        _ = try control.next()
        #expect(try control.next().message == .exited(.exited(5)))
    }

    @Test func aTerminalsControlCharactersAreSignals() throws {
        let agent = try TestAgent()
        let control = try agent.control()
        try control.send(
            start("sh", "-c", "echo ready; sleep 100", streams: .terminal(TerminalSize(rows: 24, columns: 80))), id: 1)
        let terminal = try agent.stream(.terminal, 1)
        #expect(String(decoding: try terminal.receive(exactly: 7), as: UTF8.self) == "ready\r\n")
        try terminal.send([3])
        _ = try control.next()
        guard case .exited(let status) = try control.next().message else { throw LinuxError.protocolError }
        #expect(status.shellStatus == 130)
    }

    @Test func aSignalReachesTheCommand() throws {
        let agent = try TestAgent()
        let control = try agent.control()
        try control.send(start("sleep", "100"), id: 1)
        _ = try control.next()
        try control.send(.signal(Signal(15)), id: 1)
        #expect(try control.next().message == .exited(.signalled(15)))
        try control.send(.signal(Signal(15)), id: 9)
        guard case .failure(let failure) = try control.next().message else { throw LinuxError.protocolError }
        #expect(failure.code == .unknownProcess)
    }

    @Test func aSlowReaderStallsItsStreamAloneAndTheAgentDoesNotGrow() throws {
        let agent = try TestAgent()
        let control = try agent.control()
        try control.send(start("head", "-c", "30000000", "/dev/zero"), id: 1)
        let slow = try agent.stream(.standardOutput, 1)
        sleep(nanoseconds: 200_000_000)
        let before = try agent.residentKilobytes()
        // Others are served meanwhile.
        #expect(try agent.run(start("echo", "beside"), id: 2).output == "beside\n")
        sleep(nanoseconds: 200_000_000)
        #expect(try agent.residentKilobytes() < before + 2048)
        #expect(try slow.receiveAll().count == 30_000_000)
    }

    @Test func aStreamEndsWithItsCommandWhoeverElseHoldsIt() throws {
        let agent = try TestAgent()
        let result = try agent.run(start("sh", "-c", "sleep 3 & echo done"))
        #expect(result.output == "done\n" && result.status == 0)
    }

    @Test func anExecutionEndsWithItsConnection() throws {
        let agent = try TestAgent()
        let marker = agent.folder + "/hung-up"
        do {
            let control = try agent.control()
            try control.send(
                start(
                    "sh", "-c",
                    ByteString(
                        "trap 'echo yes > \(marker); exit' HUP; echo > \(marker)-set; while :; do sleep 0.05; done")),
                id: 1)
            _ = try control.next()
            for _ in 0..<6000 where !FileManager.default.fileExists(atPath: marker + "-set") {
                sleep(nanoseconds: 5_000_000)
            }
        }
        for _ in 0..<6000 where !FileManager.default.fileExists(atPath: marker) { sleep(nanoseconds: 5_000_000) }
        #expect(FileManager.default.fileExists(atPath: marker))
    }

    @Test func aHundredCommandsLeaveNothingBehind() throws {
        let agent = try TestAgent()
        _ = try agent.run(start("true"))
        func descriptors() throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/\(agent.processIdentifier)/fd").count
        }
        let before = try descriptors()
        for number: UInt32 in 0..<100 { #expect(try agent.run(start("true"), id: number).status == 0) }
        for _ in 0..<6000 where try descriptors() > before { sleep(nanoseconds: 5_000_000) }
        #expect(try descriptors() <= before)
    }

    @Test func powerOffEndsTheAgentAndItsCommands() throws {
        let agent = try TestAgent()
        let control = try agent.control()
        try control.send(start("sleep", "100"), id: 1)
        _ = try control.next()
        try control.send(.powerOff(PowerOff(graceMilliseconds: 1000)))
        agent.waitUntilExit()
        #expect(!agent.isRunning)
    }
}
