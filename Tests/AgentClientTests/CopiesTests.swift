import AgentProtocol
import Synchronization
import Testing

@testable import AgentClient

/// What is asked of an agent around a snapshot, and in a clone.
@Suite struct CopiesTests {
    private func connected<Result>(
        _ script: @escaping @Sendable (Conversation) -> Void, _ body: (AgentConnection) throws -> Result
    ) throws -> Result {
        let agent = try ScriptedAgent(script)
        defer { agent.stop() }
        return try body(
            try AgentConnection(to: DirectEndpoint(path: agent.path), until: Deadline(afterMilliseconds: 30_000)))
    }

    @Test func `holding says how many processes stand still, and a machine that does not obey is named`() throws {
        let count = try connected { conversation in
            conversation.greet()
            #expect(conversation.next() == .hold(patienceMilliseconds: 700))
            conversation.send(.held(processes: 12), id: 0xffff_ff00)
            #expect(conversation.next() == .release)
            conversation.send(.configured, id: 0xffff_ff00)
            #expect(conversation.next() == .hold(patienceMilliseconds: 1))
            conversation.send(.failure(Failure(.notStopped, text: "no")), id: 0xffff_ff00)
            conversation.waitForEnd()
        } _: { control in
            let count = try control.hold(patienceMilliseconds: 700)
            try control.release()
            let error = #expect(throws: AgentClientError.self) { try control.hold(patienceMilliseconds: 1) }
            #expect(error?.failure?.code == .notStopped)
            return count
        }
        #expect(count == 12)
    }

    @Test func `a connection that was lost with the transport's reset is made again`() throws {
        let calls = Mutex(0)
        let agent = try ScriptedAgent { conversation in
            let call = calls.withLock { calls in
                calls += 1
                return calls
            }
            // The first is never heard of, the second ends at once.
            if call == 3 { conversation.greet() }
            if call != 2 { conversation.waitForEnd() }
        }
        defer { agent.stop() }
        let endpoint = DirectEndpoint(path: agent.path)
        _ = try AgentConnection.toRestored(endpoint, until: Deadline(afterMilliseconds: 20_000))
        #expect(calls.withLock { $0 } == 3)
        #expect(throws: AgentClientError.self) {
            try AgentConnection.toRestored(
                DirectEndpoint(path: agent.path + "-nobody"), until: Deadline(afterMilliseconds: 200))
        }
    }

    @Test func `an agent that answers something else is not believed`() throws {
        try connected { conversation in
            conversation.greet()
            conversation.send(.configured, id: 0xffff_ff00)
            conversation.send(.listening, id: 0xffff_ff00)
            conversation.waitForEnd()
        } _: { control in
            #expect(throws: AgentClientError.self) { try control.hold(patienceMilliseconds: 0) }
            #expect(throws: AgentClientError.self) {
                try control.sendIdentity(Identity())
                try control.awaitConfigured(until: Deadline(afterMilliseconds: 30_000))
            }
        }
    }

    @Test func `a process that is adopted is followed to its end, and the programs are let go with it`() throws {
        let adoption = Adoption(
            streams: .pipes(input: false, output: true, error: true), streamOrigin: .host,
            token: Token(first: 5, second: 6))
        let agent = try ScriptedAgent { conversation in
            conversation.greet()
            guard case .identity = conversation.next() else { return }
            conversation.send(.configured, id: 0xffff_ff00)
            #expect(conversation.next() == .adopt(adoption))
            #expect(conversation.next() == .release)
            conversation.send(.started(processIdentifier: 9), id: 4)
            conversation.write("what lay in the pipe\n", to: .standardOutput)
            for stream in [ProcessStream.standardOutput, .standardError] { conversation.end(stream) }
            conversation.send(.exited(.exited(3)), id: 4)
            conversation.waitForEnd()
        }
        defer { agent.stop() }
        let endpoint = DirectEndpoint(path: agent.path)
        let control = try AgentConnection(to: endpoint, until: Deadline(afterMilliseconds: 30_000))
        try control.sendIdentity(Identity())
        try control.awaitConfigured(until: Deadline(afterMilliseconds: 30_000))
        let output = CollectedOutput()
        let session = try ProcessSession(adopting: adoption, id: 4, over: control, output: output)
        session.endpoint = endpoint
        session.releasesPrograms = true
        #expect(try session.run() == .exited(.exited(3)))
        #expect(output.bytes(of: .standardOutput) == Array("what lay in the pipe\n".utf8))
    }

    @Test func `who is interrupted while a machine becomes another one may wait on`() throws {
        let isInterrupted = try SharedEndRequest()
        try connected { conversation in
            conversation.greet()
            #expect(conversation.next() == .identity(Identity()))
            isInterrupted.make(1)
            #expect(conversation.next() == .release)
            conversation.send(.configured, id: 0xffff_ff00)
            conversation.waitForEnd()
        } _: { control in
            try control.sendIdentity(Identity())
            let deadline = Deadline(afterMilliseconds: 20_000)
            let error = #expect(throws: AgentClientError.self) {
                try control.awaitConfigured(until: deadline.orReadable(isInterrupted.descriptor))
            }
            #expect(error?.code == .silent)
            try control.send(.release)
            try control.awaitConfigured(until: deadline)
        }
    }
}
