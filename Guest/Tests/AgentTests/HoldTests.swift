import AgentProtocol
import Foundation
import LinuxCalls
import Testing

/// A control group of this test's own, where the machine has version 2 and lets one be made.
private final class TestControlGroup {
    let path: String

    private init(_ path: String) { self.path = path }

    static func make() -> TestControlGroup? {
        guard let mounts = try? String(contentsOfFile: "/proc/mounts", encoding: .utf8) else { return nil }
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 2, fields[2] == "cgroup2" else { continue }
            let path = "\(fields[1])/swiftlet-test-\(UInt32.random(in: 0...(.max)))"
            if (try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)) != nil {
                return TestControlGroup(path)
            }
        }
        return nil
    }

    static let isThere = make() != nil

    deinit {
        for _ in 0..<200 where !removeGroup(path) { sleep(nanoseconds: 10_000_000) }
    }
}

private func removeGroup(_ path: String) -> Bool {
    (try? FileTree.remove([UInt8](path.utf8), isDirectory: true)) != nil
}

/// Both ways of stopping programs; the kernel's freezer where this machine has it.
private let ways = TestControlGroup.isThere ? [true, false] : [false]

@Suite(.serialized) struct HoldTests {
    private static let patience: HostMessage = .hold(patienceMilliseconds: 10_000)

    private func hold(_ control: TestControl) throws -> UInt32 {
        try control.send(Self.patience, id: 90)
        guard case .held(let count) = try control.next().message else { throw LinuxError.protocolError }
        return count
    }

    private func ask(_ control: TestControl, _ message: HostMessage, id: UInt32 = 91) throws -> AgentMessage {
        try control.send(message, id: id)
        while true {
            let frame = try control.next()
            if frame.id == id { return frame.message }
        }
    }

    /// What happens over a control connection that then ends as a transport does that is gone: by an error. A Unix socket
    /// does so when something is unread.
    private func untilReset<Result>(_ agent: TestAgent, _ body: (TestControl) throws -> Result) throws -> Result {
        let control = try agent.control()
        let result = try body(control)
        try control.send(.ping, id: 99)
        while true {
            // SAFETY: the buffer outlives the call.
            let count = unsafe withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) {
                unsafe (try? StreamSocket.peek(control.connection.file.number, into: $0)) ?? 0
            }
            if count > 0 { return result }
            sleep(nanoseconds: 2_000_000)
        }
    }

    private let adoption = Adoption(
        streams: .pipes(input: true, output: true, error: true), streamOrigin: .host,
        token: Token(first: 77, second: 78))

    private func adopted(_ agent: TestAgent, _ which: ProcessStream, _ process: UInt32) throws -> TestConnection {
        try agent.connect(Opening(.stream(which, process: process, token: adoption.token)))
    }

    private func size(_ path: String) -> Int { (try? Data(contentsOf: URL(fileURLWithPath: path)))?.count ?? 0 }

    /// Whether a file that a program writes to all the time is being written to.
    private func grows(_ path: String) -> Bool {
        let before = size(path)
        for _ in 0..<3000 where size(path) == before { sleep(nanoseconds: 10_000_000) }
        return size(path) > before
    }

    /// Whether nothing is written to it for a while.
    private func staysAsItIs(_ path: String) -> Bool {
        let before = size(path)
        sleep(nanoseconds: 400_000_000)
        return size(path) == before
    }

    @Test(arguments: ways) func heldProgramsStandStillAndGoOn(byFreezer: Bool) throws {
        let group = byFreezer ? TestControlGroup.make() : nil
        let agent = try TestAgent(controlGroup: group?.path)
        let control = try agent.control()
        let file = agent.folder + "/ticks"
        let script = ByteString("while :; do echo >> \(file); sleep 0.01; done")
        try control.send(start("sh", "-c", script), id: 1)
        _ = try control.next()
        #expect(grows(file))
        let count = try hold(control)
        #expect(count >= 1 && count <= 2)
        let before = size(file)
        sleep(nanoseconds: 200_000_000)
        #expect(size(file) == before)
        #expect(try ask(control, .release) == .configured)
        #expect(grows(file))
        // As often as one likes.
        for _ in 0..<20 {
            _ = try hold(control)
            #expect(try ask(control, .release) == .configured)
        }
        #expect(grows(file))
        guard case .failure(let failure) = try ask(control, .release) else { throw LinuxError.protocolError }
        #expect(failure.code == .unexpectedMessage)
        try control.send(.powerOff(PowerOff()))
        agent.waitUntilExit()
    }

    @Test(.enabled(if: TestControlGroup.isThere, "needs a control group of version 2"))
    func theFreezerHoldsWhatHasLeftItsSessionAndGroupsThatProgramsMade() throws {
        let group = try #require(TestControlGroup.make())
        let agent = try TestAgent(controlGroup: group.path)
        let control = try agent.control()
        let files = ["detached", "grouped", "frozen"].map { agent.folder + "/" + $0 }
        let tick = { (file: String) in "while :; do echo >> \(file); sleep 0.01; done" }
        let script = """
            setsid sh -c '\(tick(files[0]))' &
            for each in grouped frozen; do
                mkdir \(group.path)/$each
                sh -c 'echo $$ > \(group.path)/'$each'/cgroup.procs; while :; do echo >> \(agent.folder)/'$each'; sleep 0.01; done' &
            done
            wait
            """
        try control.send(start("sh", "-c", ByteString(script)), id: 1)
        _ = try control.next()
        for file in files { #expect(grows(file)) }
        // What was frozen before stays so.
        try Data("1".utf8).write(to: URL(fileURLWithPath: group.path + "/frozen/cgroup.freeze"))
        sleep(nanoseconds: 100_000_000)
        #expect(try hold(control) >= 3)
        let before = files.map(size)
        sleep(nanoseconds: 200_000_000)
        #expect(files.map(size) == before)
        #expect(try ask(control, .release) == .configured)
        #expect(grows(files[0]) && grows(files[1]) && staysAsItIs(files[2]))
        #expect(!FileManager.default.fileExists(atPath: group.path + "/swiftlet.held"))
        try Data("0".utf8).write(to: URL(fileURLWithPath: group.path + "/frozen/cgroup.freeze"))
        for each in ["grouped", "frozen"] {
            try Data("1".utf8).write(to: URL(fileURLWithPath: group.path + "/\(each)/cgroup.kill"))
            for _ in 0..<200 where !removeGroup(group.path + "/" + each) { sleep(nanoseconds: 10_000_000) }
        }
        try Data("1".utf8).write(to: URL(fileURLWithPath: group.path + "/cgroup.kill"))
    }

    @Test(arguments: ways) func whatWasStoppedBeforeStaysStopped(byFreezer: Bool) throws {
        let group = byFreezer ? TestControlGroup.make() : nil
        let agent = try TestAgent(controlGroup: group?.path)
        let control = try agent.control()
        let file = agent.folder + "/ticks"
        try control.send(
            start(
                "sh", "-c", ByteString("echo > \(file); kill -STOP $$; while :; do echo >> \(file); sleep 0.01; done")),
            id: 1)
        _ = try control.next()
        for _ in 0..<6000 where size(file) == 0 { sleep(nanoseconds: 5_000_000) }
        sleep(nanoseconds: 50_000_000)
        _ = try hold(control)
        #expect(try ask(control, .release) == .configured)
        #expect(staysAsItIs(file))
        try control.send(.signal(Signal(18)), id: 1)
        #expect(grows(file))
        try control.send(.powerOff(PowerOff()))
        agent.waitUntilExit()
    }

    @Test func programsThatDoNotStopInTimeAllGoOn() throws {
        let agent = try TestAgent()
        let control = try agent.control()
        let file = agent.folder + "/ticks"
        try control.send(start("sh", "-c", ByteString("while :; do echo >> \(file); sleep 0.01; done")), id: 1)
        _ = try control.next()
        guard case .failure(let failure) = try ask(control, .hold(patienceMilliseconds: 0)) else {
            throw LinuxError.protocolError
        }
        #expect(failure.code == .notStopped)
        #expect(grows(file))
        _ = try hold(control)
        #expect(try ask(control, .release) == .configured)
    }

    @Test func programsGoOnWhenWhoeverHeldThemIsGone() throws {
        let agent = try TestAgent()
        let control = try agent.control()
        let file = agent.folder + "/ticks"
        try control.send(start("sh", "-c", ByteString("while :; do echo >> \(file); sleep 0.01; done")), id: 1)
        _ = try control.next()
        do {
            let holder = try agent.control()
            _ = try hold(holder)
            #expect(staysAsItIs(file))
        }
        #expect(grows(file))
    }

    @Test func aCommandThatIsAskedForMeanwhileRunsAfterwards() throws {
        let agent = try TestAgent()
        let control = try agent.control()
        _ = try hold(control)
        let file = agent.folder + "/ran"
        let other = try agent.control()
        try other.send(
            start("touch", ByteString(file), streams: .pipes(input: false, output: false, error: false)), id: 4)
        guard case .pong = try ask(other, .ping) else { throw LinuxError.protocolError }
        #expect(!FileManager.default.fileExists(atPath: file))
        #expect(try ask(control, .release) == .configured)
        guard case .started = try other.next().message else { throw LinuxError.protocolError }
        #expect(try other.next().message == .exited(.exited(0)))
        #expect(FileManager.default.fileExists(atPath: file))
    }

    @Test(arguments: ways) func aCloneGivesEachLineOnceToWhoeverAdoptsIt(byFreezer: Bool) throws {
        let group = byFreezer ? TestControlGroup.make() : nil
        let agent = try TestAgent(controlGroup: group?.path)
        var old = try untilReset(agent) { control in
            try control.send(
                start(
                    "sh", "-c",
                    "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo $i; done; read line; echo got $line; exit 7"),
                id: 1)
            let input = try agent.stream(.standardInput, 1)
            let output = try agent.stream(.standardOutput, 1)
            let error = try agent.stream(.standardError, 1)
            _ = try control.next()
            // The reader is slow: the pipe, the agent and the socket are full.
            var seen = try output.receive(exactly: 100)
            sleep(nanoseconds: 100_000_000)
            _ = try hold(control)
            // What was on its way belongs to the machine that was held; none of it comes again.
            try setNonBlocking(output.file.number)
            while (try? read(output.file.number, appendingTo: &seen, maximumBytes: 64 << 10)) ?? 0 > 0 {}
            return withExtendedLifetime((input, error)) { seen }
        }
        let clone = try agent.control()
        guard case .failure(let failure) = try ask(clone, .release) else { throw LinuxError.protocolError }
        #expect(failure.code == .unexpectedMessage)
        #expect(try ask(clone, .identity(Identity())) == .configured)
        // All in one go: nothing has to be waited for.
        try clone.send(.adopt(adoption), id: 1)
        try clone.send(.release, id: 2)
        let input = try adopted(agent, .standardInput, 1)
        let output = try adopted(agent, .standardOutput, 1)
        let error = try adopted(agent, .standardError, 1)
        guard case .started = try clone.next().message else { throw LinuxError.protocolError }
        #expect(try clone.next().message == .configured)
        try input.send(Array("here\n".utf8))
        old += try output.receiveAll()
        let lines = String(decoding: old, as: UTF8.self).split(separator: "\n")
        #expect(lines.count == 20_001 && lines.last == "got here")
        #expect(lines.dropLast().enumerated().allSatisfy { $0.element == "\($0.offset + 1)" })
        #expect(try error.receiveAll().isEmpty)
        #expect(try clone.next().message == .exited(.exited(7)))
    }

    @Test func whatEndedWhileItWasHeldTellsItsAdopterHow() throws {
        let agent = try TestAgent()
        try untilReset(agent) { control in
            let said = agent.folder + "/said"
            try control.send(start("sh", "-c", ByteString("echo last; echo > \(said); exec sleep 100")), id: 3)
            guard case .started(let identifier) = try control.next().message else { throw LinuxError.protocolError }
            for _ in 0..<6000 where size(said) == 0 { sleep(nanoseconds: 5_000_000) }
            _ = try hold(control)
            try Children.signal(Int32(bitPattern: identifier), SignalNumber.kill)
            #expect(try control.next().message == .exited(.signalled(9)))
        }
        let clone = try agent.control()
        #expect(try ask(clone, .identity(Identity())) == .configured)
        guard case .started = try ask(clone, .adopt(adoption), id: 3) else { throw LinuxError.protocolError }
        #expect(try clone.next().message == .exited(.signalled(9)))
        let output = try adopted(agent, .standardOutput, 3)
        #expect(try ask(clone, .release) == .configured)
        #expect(try output.text() == "last\n")
    }

    @Test func aTerminalIsAdoptedWithItsSize() throws {
        let agent = try TestAgent()
        try untilReset(agent) { control in
            let script: ByteString = "stty -echo; echo one; read a; stty size; echo \"$a\"; exit 4"
            try control.send(
                start("sh", "-c", script, streams: .terminal(TerminalSize(rows: 40, columns: 100))), id: 7)
            let terminal = try agent.stream(.terminal, 7)
            #expect(String(decoding: try terminal.receive(exactly: 5), as: UTF8.self) == "one\r\n")
            _ = try control.next()
            _ = try hold(control)
        }
        let clone = try agent.control()
        #expect(try ask(clone, .identity(Identity())) == .configured)
        var terminalAdoption = adoption
        guard case .failure = try ask(clone, .adopt(adoption), id: 7) else { throw LinuxError.protocolError }
        terminalAdoption.streams = .terminal(TerminalSize(rows: 30, columns: 90))
        guard case .started = try ask(clone, .adopt(terminalAdoption), id: 7) else { throw LinuxError.protocolError }
        let terminal = try adopted(agent, .terminal, 7)
        #expect(try ask(clone, .release) == .configured)
        try terminal.send(Array("typed\n".utf8))
        #expect(try terminal.text() == "30 90\r\ntyped\r\n")
        #expect(try clone.next().message == .exited(.exited(4)))
    }

    @Test func programsThatNobodyAdoptsEndAtTheRelease() throws {
        let agent = try TestAgent()
        let marker = agent.folder + "/hung-up"
        try untilReset(agent) { control in
            let script = "trap 'echo yes > \(marker); exit' HUP; echo > \(marker)-set; while :; do sleep 0.05; done"
            try control.send(start("sh", "-c", ByteString(script)), id: 1)
            _ = try control.next()
            for _ in 0..<6000 where size(marker + "-set") == 0 { sleep(nanoseconds: 5_000_000) }
            _ = try hold(control)
        }
        let clone = try agent.control()
        #expect(try ask(clone, .identity(Identity())) == .configured)
        sleep(nanoseconds: 100_000_000)
        #expect(size(marker) == 0)
        guard case .failure(let failure) = try ask(clone, .adopt(adoption), id: 55) else {
            throw LinuxError.protocolError
        }
        #expect(failure.code == .unknownProcess)
        #expect(try ask(clone, .release) == .configured)
        for _ in 0..<6000 where size(marker) == 0 { sleep(nanoseconds: 5_000_000) }
        #expect(size(marker) == 4)
    }

    @Test func nobodyTakesARunningProcessFromItsConnection() throws {
        let agent = try TestAgent()
        let control = try agent.control()
        try control.send(start("sleep", "100"), id: 1)
        _ = try control.next()
        let other = try agent.control()
        guard case .failure(let failure) = try ask(other, .adopt(adoption), id: 1) else {
            throw LinuxError.protocolError
        }
        #expect(failure.code == .unexpectedMessage)
    }
}
