import AgentProtocol
import FabricProtocol
import FabricRules
import LinuxCalls
import Testing

@testable import FabricEngine

@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct RefusedNamesTests {
    @Test func `questions are answered though nobody reads what was refused`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer {
                    engine.nameServers.endAll()
                    engine.strictNameServers.endAll()
                }
                var machine = port(1, "lan", "10.9.0.2")
                machine.egress = EgressPolicy([try EgressRule(parsing: "allowed.test")], log: "/run/egress.log")
                try engine.apply(change([network("lan", 1, "10.9.0.0/24")], [machine]))
                func lookup() throws -> String {
                    try guest(
                        "lookup", "t1", "02:00:00:00:00:01", "10.9.0.2", "02:53:77:00:00:01", "10.9.0.1", "other.test")
                }
                // It has begun.
                #expect(try lookup() == "none")
                // More lines than a pipe has room for.
                #expect(try guest("questions", "10.9.0.1", "\(EgressRules.namesPort)", "2000") == "2000")
                for _ in 0..<4 { engine.takeRefusedNames() }
                try? removeFile("/run/egress.log")
                #expect(try lookup() == "none")
                engine.takeRefusedNames()
                #expect(try run("/bin/cat", "/run/egress.log").contains(#""name":"other.test""#))
            })
    }

    @Test func `one that cannot begin says why in the engine's own log`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let log = try LinuxCalls.open(computer.folder.log, [.writeOnly, .create, .append], mode: 0o600)
                try ProcessSetup.copyDescriptor(log.number, to: 2)
                let (engine, _) = try computer.engine()
                defer {
                    engine.nameServers.endAll()
                    engine.strictNameServers.endAll()
                }
                let lan = network("lan", 1, "10.9.0.0/24")
                try engine.apply(change([lan], [port(1, "lan", "10.9.0.2")]))
                // Somebody has its port.
                let holder = try HeldPort([10, 9, 0, 1], port: EgressRules.namesPort, isStream: false)
                var machine = port(1, "lan", "10.9.0.2")
                machine.egress = EgressPolicy([])
                try engine.apply(change([lan], [machine]))
                try soon {
                    engine.takeRefusedNames()
                    return try run("/bin/cat", computer.folder.log).contains("ddress already in use")
                }
                withExtendedLifetime(holder) {}
            })
    }
}
