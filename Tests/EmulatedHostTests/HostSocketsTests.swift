import AgentClient
import AgentProtocol
import Glibc
import LinuxCalls
import Testing

@testable import EmulatedHost

/// Unix sockets inside the host, with a script in the agent's place.
@Suite struct HostSocketsTests {
    static let secret = Secret([UInt8](repeating: 7, count: 32)) ?? .none

    private func host(_ server: ScriptedServer) -> RunningHost {
        RunningHost(
            HostRecord(
                emulator: ProcessIdentity(identifier: 1, startTicks: 0), port: server.port, secret: Self.secret,
                fingerprint: "", startedSeconds: 0, memoryMebibytes: 0, processors: 0))
    }

    /// Reads what a relay begins with; nil unless it is that.
    private static func request(_ socket: Int32) -> Relay? {
        guard let opening = try? Opening(decoding: receive(socket, Opening.byteCount)), opening.kind == .relay,
            opening.secret == secret
        else { return nil }
        var assembler = FrameAssembler<HostMessage>()
        while true {
            let piece = receive(socket, 1)
            guard !piece.isEmpty else { return nil }
            assembler.append(piece)
            if case .relay(let relay)? = (try? assembler.next())?.message { return relay }
        }
    }

    private static func answer(_ messages: AgentMessage..., then rest: String = "") -> [UInt8] {
        messages.flatMap { Frame($0, id: 1).encoded() } + Array(rest.utf8)
    }

    private let soon = Deadline(afterMilliseconds: 60_000)

    @Test func aDialedSocketIsRawFromTheFirstByteOn() throws {
        let server = try ScriptedServer { socket in
            guard Self.request(socket) == .dial(path: "/run/m.sock") else { return }
            // In one piece: the client must not read beyond the frame.
            reply(socket, Self.answer(.connected, then: "hello"))
            reply(socket, receive(socket, 3))
        }
        let connection = try host(server).sockets.connect("/run/m.sock", until: soon)
        #expect(receive(connection.number, 5) == Array("hello".utf8))
        try writeAll(connection.number, "abc")
        #expect(receive(connection.number, 9) == Array("abc".utf8))
    }

    @Test func whatTheAgentRefusesIsUnreachable() throws {
        let server = try ScriptedServer { socket in
            _ = Self.request(socket)
            reply(
                socket, Self.answer(.failure(Failure(.relay, systemError: 111, text: "nobody listens at /run/x"))))
        }
        #expect {
            _ = try host(server).sockets.connect("/run/x", until: soon).number
        } throws: {
            ($0 as? AgentClientError)?.code == .unreachable && "\($0)".contains("nobody listens at /run/x")
        }
    }

    @Test func anAgentThatClosesOrTalksNonsenseIsAnErrorAndNoTrap() throws {
        let answers: [[UInt8]] = [
            [], [1, 2, 3], [UInt8](repeating: 255, count: 64), [UInt8](repeating: 0, count: 64),
            Self.answer(.configured), Self.answer(.listening),
        ]
        for bytes in answers {
            let server = try ScriptedServer { socket in
                _ = Self.request(socket)
                reply(socket, bytes)
            }
            #expect(throws: AgentClientError.self, "\(bytes)") {
                _ = try host(server).sockets.connect("/run/x", until: soon).number
            }
        }
    }

    @Test func aSilentAgentIsGivenUpAtTheDeadline() throws {
        let server = try ScriptedServer { socket in _ = receive(socket, 1 << 20) }
        #expect {
            _ = try host(server).sockets.connect("/run/x", until: Deadline(afterMilliseconds: 50)).number
        } throws: {
            ($0 as? AgentClientError)?.code == .silent
        }
    }

    @Test func anAcceptedConnectionIsTakenAndReplaced() throws {
        let server = try ScriptedServer { socket in
            guard Self.request(socket) == .accept(path: "/run/m.sock_1024") else { return }
            reply(socket, Self.answer(.listening))
            reply(socket, Self.answer(.connected, then: "agent"))
        }
        let listener = try host(server).sockets.listen("/run/m.sock_1024", expecting: 1)
        for _ in 0..<3 {
            let waiting = try #require(listener.descriptors.first)
            #expect(waitUntilReadable(waiting, until: soon))
            // What is readable at first may be no more than the word that the relay listens.
            var hasCome = false
            let deadline = soon
            while !hasCome, !deadline.isOver {
                guard let connection = try listener.accept() else { continue }
                hasCome = true
                #expect(receive(connection.number, 5) == Array("agent".utf8))
            }
            #expect(hasCome)
        }
        listener.close()
        #expect(listener.descriptors.isEmpty)
    }

    @Test func aHostThatIsGoneIsUnreachable() throws {
        let port: UInt16
        do {
            let server = try ScriptedServer { _ in }
            port = server.port
        }
        let record = HostRecord(
            emulator: ProcessIdentity(identifier: 1, startTicks: 0), port: port, secret: Self.secret, fingerprint: "",
            startedSeconds: 0, memoryMebibytes: 0, processors: 0)
        waitWhile { (try? LoopbackSocket.connect(port: port, saying: [], until: soon).number) != nil }
        #expect { _ = try RunningHost(record).load() } throws: { ($0 as? AgentClientError)?.code == .unreachable }
    }
}
