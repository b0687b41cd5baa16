import AgentProtocol
import Foundation
import ImageFixtures
import LinuxCalls
import Synchronization
import Testing

@testable import AgentClient

/// A session against agents that do well, do badly, or do nothing.
@Suite struct SessionTests {
    @Test func `a guest's failure is one line, so that it cannot pass for a message of ours`() {
        let error = AgentClientError(Failure(.internal, text: "no\r\nswiftlet: removed everything"))
        #expect(error.message == "no swiftlet: removed everything")
    }

    /// A signal would end the tests.
    @Test func `writing to an agent that is gone is an error and no signal`() throws {
        let pair = try StreamSocket.pair()
        let socket = AgentSocket(try pair.first.duplicate())
        shutDownSocket(pair.second.number, 2)
        #expect(throws: AgentClientError.self) { try socket.write([1, 2, 3]) }
    }

    /// So would this one.
    @Test func `input for a command that is gone ends its pump`() throws {
        let pair = try StreamSocket.pair()
        let source = try PipePair()
        let socket = AgentSocket(try pair.first.duplicate())
        shutDownSocket(pair.second.number, 2)
        try startInputPump(from: source.reading.number, to: socket)
        try writeAll(source.writing.number, "typed")
        while waitUntilReadable(source.reading.number, until: Deadline(afterMilliseconds: 0)) {
            sleep(nanoseconds: 1_000_000)
        }
        // The pump has read what it was to send, found nobody, and reads no more.
        try writeAll(source.writing.number, "more")
        sleep(nanoseconds: 20_000_000)
        #expect(waitUntilReadable(source.reading.number, until: Deadline(afterMilliseconds: 0)))
        extendLifetime(source)
    }

    /// A machine's owner has such a session for each of its runs.
    @Test(arguments: [true, false])
    func `input that a session owns is closed when its other end is, whether it was used or not`(isUsed: Bool) throws {
        let pipe = try PipePair()
        let input = try pipe.reading.duplicate().release()
        let name = try pipeName(input)
        let end = try ScriptedAgent { conversation in
            conversation.begin()
            if isUsed { _ = conversation.agent.stream(.standardInput) }
            for stream in [ProcessStream.standardOutput, .standardError] { conversation.end(stream) }
            conversation.send(.exited(.exited(0)))
            conversation.waitForEnd()
        }.session(input: isUsed ? input : nil) { $0.ownedInput = FileDescriptor(owning: input) }.end
        #expect(end == .exited(.exited(0)))
        _ = consume pipe
        for _ in 0..<30_000 where try openDescriptors().contains(name) { sleep(nanoseconds: 1_000_000) }
        #expect(try !openDescriptors().contains(name))
    }

    private func pipeName(_ descriptor: Int32) throws -> String {
        try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(descriptor)")
    }

    private func openDescriptors() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap {
            try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")
        }
    }

    /// Runs a session against that script.
    private func run(
        input: Int32? = nil, prepare: (ProcessSession) -> Void = { _ in },
        _ script: @escaping @Sendable (Conversation) -> Void
    ) throws -> (end: SessionEnd, output: CollectedOutput) {
        let agent = try ScriptedAgent(script)
        defer { agent.stop() }
        return try agent.session(input: input, prepare: prepare)
    }

    private func code(_ script: @escaping @Sendable (Conversation) -> Void) -> AgentClientError.Code? {
        do {
            _ = try run(prepare: { $0.startPatience = .milliseconds(200) }, script)
            return nil
        } catch {
            return (error as? AgentClientError)?.code
        }
    }

    @Test func `a command's output and exit status come back`() throws {
        let (end, output) = try run {
            $0.begin()
            $0.write("out", to: .standardOutput)
            $0.write("err", to: .standardError)
            $0.end(.standardOutput)
            $0.end(.standardError)
            $0.send(.exited(.exited(3)))
            $0.waitForEnd()
        }
        #expect(end == .exited(.exited(3)))
        #expect(output.text(of: .standardOutput) == "out" && output.text(of: .standardError) == "err")
    }

    @Test func `output that comes after the exit is not lost`() throws {
        let (end, output) = try run {
            $0.begin()
            $0.send(.exited(.exited(0)))
            sleep(nanoseconds: 100_000_000)
            $0.write("late", to: .standardOutput)
            $0.end(.standardOutput)
            $0.end(.standardError)
            $0.waitForEnd()
        }
        #expect(end == .exited(.exited(0)) && output.text(of: .standardOutput) == "late")
    }

    @Test func `input reaches the command, its end too`() throws {
        let pipe = try PipePair()
        try writeAll(pipe.writing.number, "typed")
        let reading = try pipe.reading.duplicate()
        func end(_ pipe: consuming PipePair) {}
        end(pipe)
        let (_, output) = try run(input: reading.number) {
            $0.begin()
            var bytes: [UInt8] = []
            let input = $0.agent.stream(.standardInput)
            while let count = try? read(input, appendingTo: &bytes, maximumBytes: 100), count > 0 {}
            $0.write("got \(String(decoding: bytes, as: UTF8.self))", to: .standardOutput)
            $0.end(.standardOutput)
            $0.end(.standardError)
            $0.send(.exited(.exited(0)))
            $0.waitForEnd()
        }
        #expect(output.text(of: .standardOutput) == "got typed")
    }

    @Test func `an agent whose bytes come one by one is understood`() throws {
        let (end, _) = try run {
            for byte in Conversation.hello { $0.send([byte]) }
            _ = $0.next()
            for byte in Frame(AgentMessage.started(processIdentifier: 7), id: 1).encoded() {
                $0.send([byte])
                sleep(nanoseconds: 1_000_000)
            }
            $0.end(.standardOutput)
            $0.end(.standardError)
            for byte in Frame(AgentMessage.exited(.signalled(9)), id: 1).encoded() { $0.send([byte]) }
            $0.waitForEnd()
        }
        #expect(end == .exited(.signalled(9)))
    }

    @Test func `answers about other commands are passed over`() throws {
        let (end, _) = try run {
            $0.greet()
            _ = $0.next()
            $0.send(.exited(.exited(1)), id: 99)
            $0.send(.configured, id: 5)
            $0.send(.started(processIdentifier: 7))
            $0.end(.standardOutput)
            $0.end(.standardError)
            $0.send(.exited(.exited(2)))
            $0.waitForEnd()
        }
        #expect(end == .exited(.exited(2)))
    }

    @Test func `damage to a disk is told before what follows from it, and is no answer`() throws {
        let agent = try ScriptedAgent {
            $0.greet()
            $0.send(.diskDamaged(DiskDamage(.data, block: 7)), id: 0)
            $0.send(.exited(.exited(1)))
            $0.send(.diskDamaged(DiskDamage(.hashTree, block: 9)), id: 0)
        }
        defer { agent.stop() }
        let deadline = Deadline(afterMilliseconds: 30_000)
        let control = try AgentConnection(to: DirectEndpoint(path: agent.path), until: deadline)
        var damage: [DiskDamage] = []
        control.whenDamaged = { damage.append($0) }
        #expect(try control.receive(until: deadline)?.message == .exited(.exited(1)))
        #expect(damage == [DiskDamage(.data, block: 7)])
        #expect(try control.receive(until: deadline) == nil)
        #expect(damage.last == DiskDamage(.hashTree, block: 9))
    }

    @Test func `a guest that asks for its settings to be kept is noted each time, and answers nobody`() throws {
        let agent = try ScriptedAgent {
            $0.greet()
            for _ in 0..<1000 { $0.send(.settingsProposed, id: 0) }
            $0.send(.exited(.exited(1)))
        }
        defer { agent.stop() }
        let deadline = Deadline(afterMilliseconds: 30_000)
        let control = try AgentConnection(to: DirectEndpoint(path: agent.path), until: deadline)
        var asked = 0
        control.whenSettingsProposed = { asked += 1 }
        #expect(try control.receive(until: deadline)?.message == .exited(.exited(1)))
        #expect(asked == 1000)
    }

    @Test func `a command that cannot be started is told with its failure`() throws {
        do {
            _ = try run {
                $0.greet()
                _ = $0.next()
                $0.send(.failure(Failure(.commandNotFound, text: "no such program")))
                $0.waitForEnd()
            }
            Issue.record("it ran")
        } catch let error as AgentClientError {
            #expect(error.code == .refused && error.failure?.code == .commandNotFound)
        }
    }

    @Test(.timeLimit(.minutes(1))) func `an agent that does not greet is silent`() {
        #expect(code { $0.waitForEnd() } == .silent)
    }

    @Test(.timeLimit(.minutes(1))) func `an agent that greets and then does nothing is silent`() {
        #expect(
            code {
                $0.greet()
                $0.waitForEnd()
            } == .silent)
    }

    @Test func `an agent that vanishes before its greeting is gone`() {
        #expect(code { $0.vanish() } == .gone)
    }

    @Test func `an agent that vanishes while the command runs ends the machine`() throws {
        let (end, output) = try run {
            $0.begin()
            $0.write("half", to: .standardOutput)
            $0.end(.standardOutput)
            // In the middle of a message.
            $0.send(Array(Frame(AgentMessage.exited(.exited(0)), id: 1).encoded().dropLast()))
            $0.vanish()
        }
        #expect(end == .machineEnded)
        _ = output
    }

    @Test func `a machine that is gone ends the session whatever its agent does`() throws {
        let exit = try EventFile()
        let (end, _) = try run(prepare: { $0.machineExit = exit.descriptor.number }) {
            $0.begin()
            exit.signal()
            $0.waitForEnd()
        }
        #expect(end == .machineEnded)
    }

    @Test func `an agent that speaks another language is malformed`() {
        #expect(code { $0.send(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)) } == .malformed)
        #expect(code { $0.send(.pong(Load(processes: 0, connections: 0, uptimeNanoseconds: 0))) } == .malformed)
        #expect(
            code {
                $0.begin()
                $0.send([UInt8](repeating: 0xff, count: 64))
                $0.waitForEnd()
            } == .malformed)
    }

    @Test(arguments: 1...50 as ClosedRange<UInt64>) func `garbage ends a session and nothing else`(seed: UInt64) {
        _ = code {
            var random = SeededGenerator(seed: seed)
            $0.begin()
            for _ in 0..<20 {
                // Often a right header, so that what follows is looked at.
                var bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
                if Bool.random(using: &random) {
                    let type = UInt8.random(in: 128...138, using: &random)
                    bytes = [UInt8(bytes.count), 0, 0, 0, type, 0, 0, 0, 1, 0, 0, 0] + bytes
                }
                $0.send(bytes)
            }
            $0.end(.standardOutput)
            $0.end(.standardError)
        }
    }

    @Test(.timeLimit(.minutes(1))) func `a command that ignores its time limit is left`() throws {
        let signalled = Atomic<Int>(0)
        let begin = Clock.monotonic.nanoseconds()
        let (end, _) = try run(prepare: { $0.timeLimit = .milliseconds(100) }) {
            $0.begin()
            while let message = $0.next() {
                if case .signal(let signal) = message { signalled.store(Int(signal.number), ordering: .relaxed) }
            }
        }
        #expect(end == .timedOut && signalled.load(ordering: .relaxed) == 15)
        #expect(Clock.monotonic.nanoseconds() - begin > 2_000_000_000)
    }

    @Test(.timeLimit(.minutes(1))) func `a stream that nobody ends does not keep the session`() throws {
        let (end, output) = try run {
            $0.begin()
            $0.write("held", to: .standardOutput)
            $0.send(.exited(.exited(0)))
            $0.waitForEnd()
        }
        #expect(end == .exited(.exited(0)) && output.text(of: .standardOutput) == "held")
    }

    @Test func `a stream with another token is not the command's`() throws {
        let path = "/tmp/session-\(UInt32.random(in: .min ... .max))"
        let listener = try LocalSockets().listen(path, expecting: 3)
        defer { listener.close() }
        let agent = try ScriptedAgent { conversation in
            conversation.greet()
            guard case .start(let start) = conversation.next() else { return }
            for (token, text) in [(Token(first: 0, second: 0), "forged"), (start.token, "real")] {
                guard let socket = try? LocalSockets().connect(path, until: .never) else { return }
                let opening = Opening(.stream(.standardOutput, process: 1, token: token))
                try? AgentSocket(socket.duplicate()).write(opening.encoded() + Array(text.utf8))
            }
            conversation.send(.started(processIdentifier: 7))
            conversation.send(.exited(.exited(0)))
            conversation.waitForEnd()
        }
        defer { agent.stop() }
        let output = CollectedOutput()
        let start = Start(
            arguments: ["program"], environment: [], workingDirectory: "/",
            streams: .pipes(input: false, output: true, error: false), streamOrigin: .agent,
            token: Token(first: 5, second: 6))
        let control = try AgentConnection(
            to: DirectEndpoint(path: agent.path), until: Deadline(afterMilliseconds: 30_000))
        let session = try ProcessSession(start, over: control, output: output)
        session.listener = listener
        #expect(try session.run() == .exited(.exited(0)))
        #expect(output.text(of: .standardOutput) == "real")
    }

    /// A guest that waits for its processor connects, and goes on when it has it.
    @Test(.timeLimit(.minutes(1))) func `a stream may say late whose it is, and another one never`() throws {
        let path = "/tmp/session-\(UInt32.random(in: .min ... .max))"
        let listener = try LocalSockets().listen(path, expecting: 3)
        defer { listener.close() }
        let agent = try ScriptedAgent { conversation in
            conversation.greet()
            guard case .start(let start) = conversation.next(),
                let late = try? LocalSockets().connect(path, until: .never),
                let silent = try? LocalSockets().connect(path, until: .never)
            else { return }
            let opening = Opening(.stream(.standardOutput, process: 1, token: start.token)).encoded()
            try? AgentSocket(late.duplicate()).write(Array(opening[..<10]))
            conversation.send(.started(processIdentifier: 7))
            LinuxCalls.sleep(nanoseconds: 5_500_000_000)
            try? AgentSocket(late.duplicate()).write(Array(opening[10...]) + Array("late".utf8))
            conversation.send(.exited(.exited(0)))
            shutDownSocket(late.number, 1)
            _ = silent.number
            conversation.waitForEnd()
        }
        defer { agent.stop() }
        let output = CollectedOutput()
        let start = Start(
            arguments: ["program"], environment: [], workingDirectory: "/",
            streams: .pipes(input: false, output: true, error: false), streamOrigin: .agent,
            token: Token(first: 5, second: 6))
        let control = try AgentConnection(
            to: DirectEndpoint(path: agent.path), until: Deadline(afterMilliseconds: 30_000))
        let session = try ProcessSession(start, over: control, output: output)
        session.listener = listener
        #expect(try session.run() == .exited(.exited(0)))
        #expect(output.text(of: .standardOutput) == "late")
    }
}
