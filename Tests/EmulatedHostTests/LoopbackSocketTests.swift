import AgentClient
import Glibc
import LinuxCalls
import Synchronization
import Testing

@testable import EmulatedHost

@Suite struct LoopbackSocketTests {
    /// As the emulator listens: with room for two connections that it has not taken.
    @Test func everyConnectionOfABurstGetsThrough() async throws {
        let server = try ScriptedServer(backlog: 1) { socket in
            sleep(nanoseconds: 20_000_000)
            reply(socket, receive(socket, 1))
        }
        let answers = await withTaskGroup(of: UInt8?.self) { group in
            for number in 0..<UInt8(24) {
                group.addTask {
                    let deadline = Deadline(afterMilliseconds: 60_000)
                    let connection = try? LoopbackSocket.connect(port: server.port, saying: [number], until: deadline)
                    guard let connection else { return nil }
                    return receive(connection.number, 1).first
                }
            }
            return await group.reduce(into: Set<UInt8>()) { answers, answer in if let answer { answers.insert(answer) }
            }
        }
        #expect(answers == Set(0..<24))
    }

    @Test func whereNobodyListensIsRefusedAtOnce() throws {
        let port = try ScriptedServer { _ in }.port
        while (try? LoopbackSocket.connect(port: port, saying: [], until: Deadline(afterMilliseconds: 1000)).number)
            != nil
        {}
        #expect(throws: LinuxError(ECONNREFUSED)) {
            _ = try LoopbackSocket.connect(port: port, saying: [1], until: Deadline(afterMilliseconds: 1000)).number
        }
    }

    @Test func oneThatIsNeverTakenIsGivenUpInTime() throws {
        let server = try ScriptedServer(backlog: 1) { _ in sleep(nanoseconds: 60_000_000_000) }
        var kept: [Int32] = []
        defer { for each in kept { Glibc.close(each) } }
        let began = Clock.monotonic.nanoseconds()
        #expect(throws: LinuxError.timedOut) {
            for _ in 0..<8 {
                let deadline = Deadline(afterMilliseconds: 200)
                kept.append(try LoopbackSocket.connect(port: server.port, saying: [1], until: deadline).release())
            }
        }
        #expect(Clock.monotonic.nanoseconds() - began < 50_000_000_000)
    }
}
