import AgentProtocol
import FabricProtocol
import LinuxCalls
import Testing

@testable import FabricEngine

/// A network out of which a machine leads; without one of a name nobody does.
private func led(_ number: UInt16, by gateway: String?, isPrivate: Bool = false) -> FabricNetwork {
    network("inside-\(number)", number, "10.9.0.0/24") {
        $0.reachesOutside = false
        $0.isPrivate = isPrivate
        $0.gateways = gateway.flatMap { IPAddress($0) }.map { [$0] } ?? []
    }
}

private func station(_ number: Int) -> String { "02:00:00:00:00:0\(number)" }

@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct GatewayTests {
    @Test func `in a network that a machine leads out of the fabric says nothing`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let (engine, _) = try computer.engine()
                defer { engine.nameServers.endAll() }
                let wan = network("wan", 9, "10.8.0.0/24")
                // Two of them have the same addresses, and there may be none who leads out.
                try engine.apply(
                    change(
                        [wan, led(1, by: "10.9.0.1"), led(2, by: nil)],
                        [
                            port(1, "inside-1", "10.9.0.1"), port(2, "inside-1", "10.9.0.2"),
                            port(3, "inside-2", "10.9.0.2"), port(4, "wan", "10.8.0.2"),
                        ]))
                for bridge in ["n1", "n2"] {
                    #expect(
                        try run("/usr/sbin/ip", "-br", "address", "show", "dev", bridge).split(separator: " ").count
                            == 2)
                }
                #expect(!succeeds("/bin/ls", computer.folder.names(1).pidFile))
                // Neither for its address in another network, nor for the gateway's.
                #expect(try guest("arp", "t4", station(4), "10.8.0.2", "10.8.0.1") == "02:53:77:00:00:09")
                #expect(try guest("arp", "t2", station(2), "10.9.0.2", "10.8.0.1") == "nobody")
                #expect(try guest("arp", "t2", station(2), "10.9.0.2", "10.9.0.1") == "nobody")
                // Who leads out may hand on what others send, and nobody else may.
                #expect(
                    try guest("sent", "t1", station(1), "198.51.100.7", "t2", station(2), "10.9.0.2") == "arrives")
                #expect(
                    try guest("sent", "t2", station(2), "198.51.100.7", "t1", station(1), "10.9.0.1") == "nothing")
                // What is sent to the fabric's own station there goes no further.
                try run("/usr/sbin/nft", "add table inet seen")
                try run("/usr/sbin/nft", "add chain inet seen out { type filter hook postrouting priority 0; }")
                try run("/usr/sbin/nft", "add rule inet seen out udp dport 9 counter")
                _ = try guest("sent", "t2", station(2), "10.9.0.2", "t4", "02:53:77:00:00:01", "10.8.0.2")
                #expect(try run("/usr/sbin/nft", "list", "table", "inet", "seen").contains("packets 0 "))
                // It becomes one of the fabric's own, and back again.
                let own = network("inside-1", 1, "10.9.0.0/24")
                try engine.apply(change([own], [port(1, "inside-1", "10.9.0.3")]))
                #expect(try guest("arp", "t2", station(2), "10.9.0.2", "10.9.0.1") == "02:53:77:00:00:01")
                #expect(
                    try guest("sent", "t1", station(1), "198.51.100.7", "t2", station(2), "10.9.0.2") == "nothing")
                #expect(try guest("dhcp", "t2", station(2)) == "10.9.0.2 1500")
                try engine.apply(change([led(1, by: "10.9.0.1")], [port(1, "inside-1", "10.9.0.1")]))
                #expect(try guest("arp", "t2", station(2), "10.9.0.2", "10.9.0.1") == "nobody")
                #expect(try !run("/usr/sbin/ip", "-br", "address", "show", "dev", "n1").contains("10.9.0"))
            })
    }

    @Test func `machines of a private network reach the one that leads out, and not one another`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                try engine.apply(
                    change(
                        [led(1, by: "10.9.0.1", isPrivate: true)],
                        [
                            port(1, "inside-1", "10.9.0.1"), port(2, "inside-1", "10.9.0.2"),
                            port(3, "inside-1", "10.9.0.3"),
                        ]))
                #expect(try guest("sent", "t2", station(2), "10.9.0.2", "t1", station(1), "10.9.0.1") == "arrives")
                #expect(try guest("sent", "t1", station(1), "10.9.0.1", "t3", station(3), "10.9.0.3") == "arrives")
                #expect(try guest("sent", "t2", station(2), "10.9.0.2", "t3", station(3), "10.9.0.3") == "nothing")
            })
    }
}
