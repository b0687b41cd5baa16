import AgentProtocol
import FabricProtocol
import LinuxCalls
import Synchronization
import Testing
import Wiring

@testable import FabricEngine

/// Appliances that are waited for before they are put into a wire.
@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct ReadinessTests {
    @Test func `others are answered while one is waited for, and it is in no way before it is put there`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try ServedFabric()
                defer { fabric.end() }
                let flow = try NumberedFlow(from: fabric.machine, to: fabric.other, packetsPerSecond: 2000)
                let (first, late) = (try Carrier(11, 12), try Carrier(21, 22, isDeaf: true))
                let answer = try Answer(fabric, fabric.change([appliance("b", 21)]), milliseconds: 60_000)
                // Whatever else is asked for.
                try fabric.set([appliance("a", 11)])
                try soon { first.carried > 100 }
                #expect(answer.isPending)
                late.carryOn()
                try soon { !answer.isPending }
                #expect(answer.fault == nil && late.carried > 0)
                // Probes alone.
                let carried = late.carried
                pause(100)
                #expect(late.carried < carried + 50)
                try fabric.set([appliance("b", 21)])
                try soon { late.carried > carried + 500 }
                pause(1200)
                let result = flow.end()
                #expect(result.missing == 0 && result.doubled == 0)
            })
    }

    @Test func `what does not become ready is told, and closed again`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try ServedFabric()
                defer { fabric.end() }
                let deaf = try Carrier(21, 22, isDeaf: true)
                defer { deaf.end() }
                for (appliance, words) in [
                    (appliance("b", 21), "b lets no frames through"), (appliance("c", 31), "c does not read"),
                ] {
                    let answer = try Answer(fabric, fabric.change([appliance]), milliseconds: 300)
                    try soon { !answer.isPending }
                    #expect(answer.fault?.contains(words) == true, "\(answer.fault ?? "")")
                    try soon { try !Self.isUp(appliance.inside) && !Self.isUp(appliance.outside) }
                }
                // One that only looks.
                let answer = try Answer(fabric, fabric.change([], mirrors: [31]), milliseconds: 300)
                try soon { !answer.isPending }
                #expect(answer.fault?.contains("port 31") == true)
                // What is refused is refused at once.
                let impossible = try Answer(fabric, fabric.change([appliance("a", 1)]), milliseconds: 60_000)
                try soon { !impossible.isPending }
                #expect(impossible.fault != nil)
                // What is in the way already, or needs nothing, is ready.
                let nothing = try Answer(fabric, fabric.change([]), milliseconds: 60_000)
                try soon { !nothing.isPending }
                #expect(nothing.fault == nil)
            })
    }

    @Test func `nobody is waited for whose asker has gone, and at most so many ask`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try ServedFabric()
                defer { fabric.end() }
                let deaf = try Carrier(21, 22, isDeaf: true)
                defer { deaf.end() }
                var request: [UInt8] = []
                FabricRequest.readiness(fabric.change([appliance("b", 21)]), milliseconds: 60_000)
                    .document.write(to: &request)
                func ask() throws -> FileDescriptor {
                    let connection = try UnixSocket.connect(fabric.folder.socket)
                    try writeAll(connection.number, request)
                    shutDownSocket(connection.number, 1)
                    return connection
                }
                do {
                    let asker = try ask()
                    try soon { try Self.isUp(21) }
                    _ = consume asker
                }
                try soon { try !Self.isUp(21) && !Self.isUp(22) }
                let askers = try (0..<64).map { _ in Asker(try ask()) }
                #expect(throws: FabricFault.self) {
                    try fabric.ask(.readiness(fabric.change([appliance("b", 21)]), milliseconds: 1))
                }
                try soon { try Self.isUp(21) }
                for asker in askers { shutDownSocket(asker.connection.number, 2) }
                try soon { try !Self.isUp(21) }
            })
    }

    private static func isUp(_ end: UInt16) throws -> Bool {
        var links = try Links()
        return try links.find(ByteString(FabricPort.tap(end)))?.isUp ?? false
    }
}

/// What the engine says of readiness, and that it has not yet.
private final class Answer: Sendable {
    private let state = Mutex<(isPending: Bool, fault: String?)>((true, nil))

    init(_ fabric: ServedFabric, _ change: FabricChange, milliseconds: UInt32) throws {
        try startThread { [self] in
            do throws(any Error) {
                try fabric.ask(.readiness(change, milliseconds: milliseconds))
                state.withLock { $0 = (false, nil) }
            } catch { state.withLock { $0 = (false, "\(error)") } }
        }
    }

    var isPending: Bool { state.withLock { $0.isPending } }
    var fault: String? { state.withLock { $0.fault } }
}

private final class Asker {
    let connection: FileDescriptor
    init(_ connection: consuming FileDescriptor) { self.connection = connection }
}
