import AgentProtocol
import FabricProtocol
import LinuxCalls
import Testing

@testable import FabricEngine

/// What holds for machines with rules where these are not, and where others speak for them.
@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct EgressBoundaryTests {
    private static let lan = network("lan", 1, "10.9.0.0/24")

    private static func machine(_ number: UInt16, _ rules: [String]? = nil) throws -> FabricPort {
        var port = port(number, "lan", "10.9.0.\(number + 1)")
        port.egress = try rules.map { try EgressPolicy($0.map { try EgressRule(parsing: $0) }, log: nil) }
        return port
    }

    /// With addresses outside, at which a closed port answers.
    private static func engine() throws -> Engine {
        let (engine, wayOut) = try TestComputer().engine()
        try wayOut.namespace.outside { () throws(FabricFault) in
            for address in ["198.18.0.7", "198.18.0.9"] {
                _ = succeeds("/usr/sbin/ip", "address", "add", address, "dev", "lo")
            }
        }
        return engine
    }

    /// - Parameter tap: where it comes from; the machine's own if not given.
    private static func knock(_ number: UInt16, _ target: String, from tap: UInt16? = nil) throws -> String {
        try guest(
            "knock", "t\(tap ?? number)", "02:00:00:00:00:0\(number)", "10.9.0.\(number + 1)", "02:53:77:00:00:01",
            target, "80")
    }

    private static func lookup(_ number: UInt16, _ name: String) throws -> String {
        try guest(
            "lookup", "t\(number)", "02:00:00:00:00:0\(number)", "10.9.0.\(number + 1)", "02:53:77:00:00:01",
            "10.9.0.1", name)
    }

    @Test(arguments: ["delete table inet swiftlet-egress", "flush map inet swiftlet-egress machines"])
    func `a machine whose rules are not there gets nothing out`(loss: String) async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) { [loss] in
                let engine = try Self.engine()
                defer {
                    engine.nameServers.endAll()
                    engine.strictNameServers.endAll()
                }
                let all = change([Self.lan], [try Self.machine(1, ["198.18.0.7"]), try Self.machine(2)], isWhole: true)
                try engine.apply(all)
                #expect(try Self.knock(1, "198.18.0.7") == "answered")
                #expect(try Self.knock(1, "198.18.0.9") == "refused")
                try run("/usr/sbin/nft", loss)
                #expect(try Self.knock(1, "198.18.0.7") == "nothing")
                #expect(try Self.knock(1, "198.18.0.9") == "nothing")
                // Others are not asked for any.
                #expect(try Self.knock(2, "198.18.0.9") == "answered")
                #expect(try Self.lookup(2, "m1") == "10.9.0.2")
                if loss.hasPrefix("delete") { #expect(try Self.lookup(1, "m2") == "no answer") }
                try engine.apply(all)
                #expect(try Self.knock(1, "198.18.0.7") == "answered")
                #expect(try Self.lookup(1, "m2") == "10.9.0.3")
            })
    }

    @Test func `rules that could not be set when an engine began are set with the next change`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let (first, wayOut) = try computer.engine()
                try wayOut.namespace.outside { () throws(FabricFault) in
                    _ = succeeds("/usr/sbin/ip", "address", "add", "198.18.0.7", "dev", "lo")
                    _ = succeeds("/usr/sbin/ip", "address", "add", "198.18.0.9", "dev", "lo")
                }
                try first.apply(change([Self.lan], [try Self.machine(1, ["198.18.0.7"])]))
                // As after a kill, with a namespace that has lost its rules and a program that cannot set any. Its mounts are this process's.
                try run("/usr/sbin/nft", "flush ruleset")
                try run("/bin/mount", "--bind", "/bin/false", "/usr/sbin/nft")
                let second = try Engine(computer.folder)
                defer {
                    second.nameServers.endAll()
                    second.strictNameServers.endAll()
                }
                try second.resume()
                #expect(throws: FabricFault.self) { try second.apply(change([Self.lan], [try Self.machine(2)])) }
                try run("/bin/umount", "/usr/sbin/nft")
                try second.apply(change([Self.lan], [try Self.machine(2)]))
                #expect(try Self.knock(1, "198.18.0.9") == "refused")
                #expect(try Self.knock(1, "198.18.0.7") == "answered")
                #expect(try Self.knock(2, "198.18.0.9") == "answered")
            })
    }

    @Test func `a machine that may open nothing answers whoever may ask it`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let engine = try Self.engine()
                defer {
                    engine.nameServers.endAll()
                    engine.strictNameServers.endAll()
                }
                let machines = [try Place(1, "10.9.0.2"), try Place(2, "10.8.0.3")]
                let far = network("far", 2, "10.8.0.0/24") { $0.reachableNetworks = ["lan"] }
                try engine.put(change([Self.lan, far], [try Self.machine(1, []), port(2, "far", "10.8.0.3")]))
                try soon { machines[1].reaches("10.9.0.2") }
                #expect(!machines[0].reaches("198.18.0.7"))
            })
    }

    @Test func `in a machine's wire an appliance speaks for that machine, by its rules`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let engine = try Self.engine()
                defer {
                    engine.nameServers.endAll()
                    engine.strictNameServers.endAll()
                }
                let ends = [UInt16(11), 12, 21, 22].map {
                    FabricPort(number: $0, network: nil, hardwareAddress: [2, 0, 0, 0, 0, 0])
                }
                var (guarded, free) = (try Self.machine(1, ["198.18.0.7"]), try Self.machine(2))
                guarded.line = [appliance("a", 11, failsOpen: false, patience: nil)]
                free.line = [appliance("b", 21, failsOpen: false, patience: nil)]
                // Their own places in the network.
                let own = [try Self.machine(3), try Self.machine(4, [])]
                try engine.put(change([Self.lan], ends + [guarded, free] + own))
                #expect(try Self.knock(1, "198.18.0.7", from: 12) == "answered")
                #expect(try Self.knock(1, "198.18.0.9", from: 12) == "refused")
                #expect(try Self.knock(2, "198.18.0.9", from: 22) == "answered")
                // In its own place it has its own rules, and these nowhere else.
                #expect(try Self.knock(3, "198.18.0.9") == "answered")
                #expect(try Self.knock(3, "198.18.0.9", from: 12) == "nothing")
                #expect(try Self.knock(4, "198.18.0.9") == "refused")
                #expect(try Self.knock(4, "198.18.0.9", from: 22) == "nothing")
            })
    }
}
