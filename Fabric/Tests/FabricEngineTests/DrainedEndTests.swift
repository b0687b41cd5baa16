import FabricProtocol
import LinuxCalls
import Synchronization
import Testing

@testable import FabricEngine
@testable import Wiring

/// Wires of the thread's network namespace that nobody may change: whoever has opened them has no right to.
private final class PowerlessWires: @unchecked Sendable {
    private var wires: Wires?
    private let isOpen = Atomic<Bool>(false)

    init() throws {
        try startThread { [self] in
            try? PrivilegeDrop.keepOnly([])
            wires = try? Wires()
            isOpen.store(true, ordering: .releasing)
        }
        try soon { isOpen.load(ordering: .acquiring) }
    }

    func take() throws -> Wires {
        guard let wires = self.wires.take() else { throw FabricFault("there are no wires") }
        return wires
    }
}

@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct DrainedEndTests {
    private static func isUp() throws -> Bool {
        var links = try Links()
        return try #require(try links.find("t11")).isUp
    }

    @Test func `an end that cannot be closed is closed later`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                try engine.put(
                    change([], [FabricPort(number: 11, network: nil, hardwareAddress: [2, 0, 0, 0, 0, 0])]))
                _ = try engine.prepared("t11")
                try run("/usr/sbin/ip", "link", "set", "t11", "up")
                engine.draining = [(11, 0)]
                engine.wires = try PowerlessWires().take()
                // It is tried again in a while.
                #expect((engine.closeDrained() ?? 0) > 0)
                #expect(try Self.isUp())
                engine.wires = try Wires()
                #expect(engine.closeDrained() != nil)
                #expect(try Self.isUp())
                engine.draining[0].untilNanoseconds = 0
                #expect(engine.closeDrained() == nil)
                #expect(try !Self.isUp())
            })
    }
}
