import AgentProtocol
import FabricProtocol
import LinuxCalls
import Testing

@testable import FabricEngine
@testable import FabricRules

/// Guests that may not reach everything, and a computer outside with names, addresses and closed ports.
@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct EgressTests {
    private static let lan = network("lan", 1, "10.9.0.0/24") {
        $0.nameServers = ["198.18.0.1"].compactMap { IPAddress($0) }
    }
    private static let log = "/run/egress.log"

    private static func machine(_ number: UInt16, _ rules: [String]?) throws -> FabricPort {
        var port = port(number, "lan", "10.9.0.\(number + 1)")
        port.egress = try rules.map { try EgressPolicy($0.map { try EgressRule(parsing: $0) }, log: log) }
        return port
    }

    private static func knock(_ number: UInt16, _ target: String, _ port: Int) throws -> String {
        try guest(
            "knock", "t\(number)", "02:00:00:00:00:0\(number)", "10.9.0.\(number + 1)", "02:53:77:00:00:01", target,
            "\(port)")
    }

    /// - Parameter port: that it asks from; another one each time if not given.
    private static func lookup(
        _ number: UInt16, _ name: String, server: String = "10.9.0.1", port: Int = 0
    ) throws -> String {
        try guest(
            "lookup", "t\(number)", "02:00:00:00:00:0\(number)", "10.9.0.\(number + 1)", "02:53:77:00:00:01", server,
            name, port == 0 ? "" : "\(port)")
    }

    /// With who answers for names outside, and addresses there.
    private static func engine() throws -> Engine {
        let (engine, wayOut) = try TestComputer().engine()
        try wayOut.namespace.outside { () throws(FabricFault) in
            for address in ["198.18.0.1", "198.18.0.7", "198.18.0.9", "100.64.0.7"] {
                _ = succeeds("/usr/sbin/ip", "address", "add", address, "dev", "lo")
            }
            // Its folder is this process's alone: nobody else sees the file of its number.
            _ = succeeds(
                "/usr/sbin/dnsmasq", "--no-hosts", "--no-resolv", "--listen-address=198.18.0.1", "--bind-interfaces",
                "--pid-file=/run/outside.pid", "--address=/allowed.test/198.18.0.7", "--address=/other.test/198.18.0.9",
                "--address=/inner.test/10.9.0.3", "--address=/shared.inner.test/100.64.0.7")
        }
        return engine
    }

    private static func end(_ engine: Engine) {
        engine.nameServers.endAll()
        engine.strictNameServers.endAll()
        engine.viewServers.endAll()
        _ = succeeds("/bin/sh", "-c", "kill $(cat /run/outside.pid)")
    }

    @Test func `a machine opens what it may, by address and by domain, and what changes counts at once`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let engine = try Self.engine()
                defer { Self.end(engine) }
                try engine.apply(
                    change([Self.lan], [try Self.machine(1, ["allowed.test:443"]), try Self.machine(2, nil)]))
                // Nobody has asked for the name yet.
                #expect(try Self.knock(1, "198.18.0.7", 443) == "refused")
                #expect(try Self.lookup(1, "allowed.test") == "198.18.0.7")
                #expect(try Self.knock(1, "198.18.0.7", 443) == "answered")
                #expect(try Self.knock(1, "198.18.0.7", 80) == "refused")
                #expect(try Self.knock(1, "198.18.0.9", 443) == "refused")
                #expect(try Self.lookup(1, "www.allowed.test") == "198.18.0.7")
                // Names that it may not reach, whomever it asks; and those of its network.
                #expect(try Self.lookup(1, "other.test") == "none")
                #expect(try Self.lookup(1, "other.test", server: "198.18.0.1") == "none")
                #expect(try Self.lookup(1, "m2") == "10.9.0.3")
                // The other one may do everything.
                #expect(try Self.lookup(2, "other.test", port: 5555) == "198.18.0.9")
                #expect(try Self.knock(2, "198.18.0.9", 80) == "answered")
                // Until it has rules: a socket that was answered before is not any more.
                try engine.apply(change([Self.lan], [try Self.machine(2, ["elsewhere.test:443"])]))
                #expect(try Self.lookup(2, "other.test", port: 5555) == "no answer")
                #expect(try Self.lookup(2, "other.test") == "none")

                try engine.apply(change([Self.lan], [try Self.machine(1, ["198.18.0.8/31:80/tcp", "inner.test"])]))
                #expect(try Self.knock(1, "198.18.0.9", 80) == "answered")
                #expect(try Self.knock(1, "198.18.0.7", 443) == "refused")
                #expect(try Self.lookup(1, "allowed.test") == "none")
                // Nobody may reach it any more.
                let sets = try run("/usr/sbin/nft", "list", "table", "inet", "swiftlet-egress")
                #expect(sets.contains("a4.n1.elsewhere.test") && !sets.contains("a4.n1.allowed.test"))
                // A name outside that leads inside.
                #expect(try Self.lookup(1, "inner.test") == "none")
                // One that leads to a network behind this computer may be known, and leads nowhere.
                _ = try Self.lookup(1, "shared.inner.test")
                #expect(try Self.knock(1, "100.64.0.7", 80) == "refused")
                #expect(try Self.knock(2, "100.64.0.7", 80) == "refused")

                try engine.apply(change([Self.lan], [try Self.machine(1, [])]))
                #expect(try Self.knock(1, "198.18.0.9", 80) == "refused")
                try engine.apply(change([Self.lan], [try Self.machine(1, nil)]))
                #expect(try Self.knock(1, "198.18.0.9", 80) == "answered")
                #expect(try Self.lookup(1, "other.test") == "198.18.0.9")
                #expect(try run("/usr/sbin/nft", "list", "table", "inet", "swiftlet-egress").contains("q1") == false)

                let said = try run("/bin/cat", Self.log)
                #expect(said.contains(#""allowed":false,"name":"other.test"}"#))
                #expect(
                    said.contains(
                        #""allowed":true,"rule":"allowed.test:443","transport":"tcp","address":"198.18.0.7","port":443"#
                    ))
                #expect(
                    said.contains(#""allowed":false,"rule":null,"transport":"tcp","address":"198.18.0.9","port":443"#))
            })
    }

    @Test func `a machine in two networks finds the names of both, and those outside that it may reach`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let engine = try Self.engine()
                defer { Self.end(engine) }
                func both(_ rules: [String]?) throws -> [FabricPort] {
                    var ports = [try Self.machine(1, rules), port(4, "back", "10.8.0.2")]
                    ports[1].egress = ports[0].egress
                    for place in ports.indices { ports[place].nameNetworks = ["lan", "back"] }
                    return ports
                }
                let others = [try Self.machine(2, nil), port(5, "back", "10.8.0.3")]
                try engine.apply(
                    change([Self.lan, network("back", 2, "10.8.0.0/24")], try both(["allowed.test:443"]) + others))
                #expect(try Self.lookup(1, "allowed.test") == "198.18.0.7")
                #expect(try Self.knock(1, "198.18.0.7", 443) == "answered")
                #expect(try Self.lookup(1, "m5") == "10.8.0.3")
                #expect(try Self.lookup(1, "m2", server: "198.18.0.1") == "10.9.0.3")
                #expect(try Self.lookup(1, "other.test") == "none")
                #expect(try Self.lookup(1, "other.test", server: "198.18.0.1") == "none")
                // One without rules asks whom it likes, and is answered by its gateways for everything.
                try engine.apply(change([], try both(nil)))
                #expect(try Self.lookup(1, "other.test", port: 5555) == "198.18.0.9")
                #expect(try Self.lookup(1, "m5") == "10.8.0.3")
                #expect(try Self.lookup(1, "other.test", server: "198.18.0.1") == "198.18.0.9")
                #expect(try Self.lookup(1, "m5", server: "198.18.0.1") == "none")
                // With rules again, the socket that was answered before is not any more.
                try engine.apply(change([], try both([])))
                #expect(try Self.lookup(1, "other.test", port: 5555) == "none")
                #expect(try Self.lookup(1, "m5.back.internal", port: 5555) == "10.8.0.3")
                #expect(try run("/bin/cat", Self.log).contains(#""allowed":false,"name":"other.test"}"#))
            })
    }

    @Test func `a machine that gets another hardware address leaves nothing behind`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let engine = try Self.engine()
                defer { Self.end(engine) }
                var machine = try Self.machine(1, ["allowed.test"])
                try engine.apply(change([Self.lan], [machine]))
                machine.hardwareAddress = [2, 0, 0, 0, 0, 9]
                try engine.apply(change([Self.lan], [machine]))
                let there = try run("/usr/sbin/nft", "list", "table", "inet", "swiftlet-egress")
                #expect(there.contains("02:00:00:00:00:09") && !there.contains("02:00:00:00:00:01"))
                try engine.apply(change(without: [1]))
                #expect(!(try run("/usr/sbin/nft", "list", "table", "inet", "swiftlet-egress").contains("q1")))
            })
    }

    @Test func `an address is let through for a while after it was told, and over a repair`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let engine = try Self.engine()
                defer { Self.end(engine) }
                let all = change([Self.lan], [try Self.machine(1, ["allowed.test"])], isWhole: true)
                try engine.apply(all)
                #expect(engine.emptyEgressSets() != nil)
                #expect(try Self.lookup(1, "allowed.test") == "198.18.0.7")
                try engine.apply(all)
                #expect(try Self.knock(1, "198.18.0.7", 22) == "answered")
                engine.nextEmptying = (0, "a")
                _ = engine.emptyEgressSets()
                #expect(try Self.knock(1, "198.18.0.7", 22) == "answered")
                engine.nextEmptying?.nanoseconds = 0
                _ = engine.emptyEgressSets()
                #expect(try Self.knock(1, "198.18.0.7", 22) == "refused")
                #expect(try Self.lookup(1, "allowed.test") == "198.18.0.7")
                #expect(try Self.knock(1, "198.18.0.7", 22) == "answered")
                try engine.apply(change(without: [1]))
                #expect(engine.emptyEgressSets() == nil)
            })
    }
}
