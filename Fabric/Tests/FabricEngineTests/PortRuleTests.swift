import AgentProtocol
import FabricProtocol
import LinuxCalls
import Testing

@testable import FabricEngine

private func rules() throws -> String { try run("/usr/sbin/nft", "list", "table", "bridge", "swiftlet") }

/// What the rules of a bridge know of ports, as these are told otherwise.
@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct PortRuleTests {
    @Test func `a machine that is told otherwise has the rights of before no more`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                let lan = network("lan", 1, "10.9.0.0/24")
                func led(by gateway: String) -> FabricNetwork {
                    network("inside", 2, "10.9.0.0/24") {
                        $0.reachesOutside = false
                        $0.gateways = [IPAddress(gateway)].compactMap { $0 }
                    }
                }
                try engine.apply(
                    change(
                        [lan, led(by: "10.9.0.1")],
                        [port(1, "lan", "10.9.0.20"), port(2, "lan", "10.9.0.21"), port(3, "inside", "10.9.0.1")]))
                let before = try rules()
                #expect(before.contains("goto q3") && !before.contains("chain q1"), "\(before)")
                // Two machines change places, and another leads.
                var one = port(1, "lan", "10.9.0.21", station: 7)
                one.egress = EgressPolicy([])
                try engine.apply(
                    change(
                        [led(by: "10.9.0.2")],
                        [one, port(2, "lan", "10.9.0.20"), port(4, "inside", "10.9.0.2")]))
                let told = try rules()
                for (isThere, text) in [
                    (true, "\"q1\" . 10.9.0.21"), (false, "\"q1\" . 10.9.0.20"), (true, "\"q2\" . 10.9.0.20"),
                    (false, "\"q2\" . 10.9.0.21"), (true, "\"q1\" . 02:00:00:00:00:07"),
                    (false, "\"q1\" . 02:00:00:00:00:01"), (true, "\"q1\" . 0xfe80000000000000000000fffe000007"),
                    (false, "0xfe80000000000000000000fffe000001"), (true, "\"q3\" . 02:00:00:00:00:03"),
                    (false, "goto q3"), (false, "chain q3"), (true, "\"q4\" : goto q4"),
                    (false, "\"q4\" . 02:00:00:00:00:04"),
                ] { #expect(told.contains(text) == isThere, "\(text): \(told)") }
                #expect(try run("/usr/sbin/nft", "list", "set", "bridge", "swiftlet", "held").contains("\"q1\""))
                // It is the same as if all had been told at once, and nothing stays of who goes.
                try engine.apply(change([], [port(1, "lan", "10.9.0.20")], without: [2, 4]))
                let once = try rules()
                try engine.apply(engine.plan.asChange)
                #expect(try rules() == once)
                try engine.apply(change(without: [1, 3]))
                let none = try rules()
                #expect(!none.contains("\"q") && !none.contains("chain q"), "\(none)")
            })
    }

    @Test func `the rules of an engine of before are replaced`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let (first, _) = try computer.engine()
                try first.apply(change([network("lan", 1, "10.9.0.0/24")], [port(1, "lan", "10.9.0.2")]))
                first.nameServers.endAll()
                let own = try rules()
                // With a chain for each port, as it once was.
                try run(
                    "/usr/sbin/nft",
                    """
                    delete table bridge swiftlet; add table bridge swiftlet; add chain bridge swiftlet q1;
                    add map bridge swiftlet ports { type ifname : verdict; elements = { "q1" : jump q1 }; };
                    add chain bridge swiftlet prerouting { type filter hook prerouting priority -300; };
                    add rule bridge swiftlet prerouting meta iifname vmap @ports
                    """)
                let second = try Engine(computer.folder)
                defer { second.nameServers.endAll() }
                try second.resume()
                #expect(try rules() == own)
            })
    }
}
