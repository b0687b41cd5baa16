import AgentProtocol
import ChildPrograms
import FabricProtocol
import Foundation
import LinuxCalls
import Testing
import WireFormats

@testable import FabricEngine

/// What is told of a packet that the program sends from a machine's port.
private struct Told {
    let lines: [JSONValue]

    init(
        _ transport: TraceRequest.Transport, from machine: FabricPort, source: String? = nil, to address: String,
        _ station: [UInt8], _ port: UInt16 = 0, asking question: NameQuestion? = nil, milliseconds: UInt64 = 20_000
    ) throws {
        let source = source.flatMap { IPAddress($0) } ?? machine.addresses[0]
        var request = TraceRequest(
            port: machine.number, transport: transport, station: machine.hardwareAddress, nextStation: station,
            source: source, destination: try #require(IPAddress(address)), destinationPort: port,
            milliseconds: milliseconds)
        request.question = question
        try self.init(request)
    }

    /// From the computer that the fabric is in, to an address of its own.
    init(
        _ transport: TraceRequest.Transport, fromOutsideTo address: String, _ port: UInt16,
        milliseconds: UInt64 = 20_000
    ) throws {
        let own = try #require(IPAddress(address))
        let nobody: [UInt8] = [2, 0, 0, 0, 0, 0]
        try self.init(
            TraceRequest(
                port: nil, transport: transport, station: nobody, nextStation: nobody, source: own, destination: own,
                destinationPort: port, milliseconds: milliseconds))
    }

    private init(_ request: TraceRequest) throws {
        let outcome = Programs.run(
            ([engineProgram, "trace", "/run/fabric"] + request.arguments).map { ByteString($0) },
            // Its standard input ends only with it.
            patienceNanoseconds: 60_000_000_000)
        if !outcome.hasSucceeded { report("\(request.arguments): \(outcome.complaint)") }
        lines = try outcome.output.bytes.split(separator: 0x0a).map { try JSONParser.parse(Array($0)) }
        if lines.isEmpty { throw FabricFault("nothing was told: \(outcome.complaint)") }
    }

    /// The devices at which it was seen, `>` before those that sent it.
    func places(_ kind: String, outside: Bool = false) -> [String] {
        lines.filter { $0.text("seen") == kind && $0.boolean("is_outside") == outside }.map {
            ($0.boolean("is_sent") == true ? ">" : "") + ($0.text("device") ?? "")
        }
    }

    var dropped: [String] {
        lines.filter { $0.text("dropped") != nil }.map {
            "\($0.text("dropped") ?? "") \($0.text("family") ?? "") \($0.text("chain") ?? "") \($0.text("comment") ?? "")"
        }
    }
}

extension WayOut {
    /// What is done on the computer that the fabric is in.
    fileprivate func atComputer<Result>(_ body: () throws -> Result) throws -> Result {
        try namespace.outside { () throws(FabricFault) in
            do { return try body() } catch { throw FabricFault("\(error)") }
        }
    }
}

@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct TraceTests {
    private static let gateway: [UInt8] = [2, 0x53, 0x77, 0, 0, 1]

    /// Links that are new take a moment.
    private static func awaitPath(from one: FabricPort, to other: FabricPort) throws {
        for _ in 0..<60 {
            let told = try Told(
                .icmp, from: one, to: other.addresses[0].description, other.hardwareAddress, milliseconds: 1000)
            if told.places("answered").last == ">t\(one.number)" { return }
        }
        Issue.record("port \(one.number) does not reach port \(other.number)")
    }

    @Test func `a machine of IPv6 alone is followed to others, and asks for names by that`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer {
                    engine.nameServers.endAll()
                    engine.strictNameServers.endAll()
                }
                _ = [try Place(1, "fd00:9::2"), try Place(2, "fd00:9::3")]
                var ports = [port(1, "six", "fd00:9::2"), port(2, "six", "fd00:9::3")]
                try engine.put(change([network("six", 1, "fd00:9::/64")], ports))
                try Self.awaitPath(from: ports[0], to: ports[1])
                let closed = try Told(.tcp, from: ports[0], to: "fd00:9::3", ports[1].hardwareAddress, 81)
                #expect(closed.places("question").last == ">t2" && closed.places("reset").last == ">t1")
                let question = try #require(NameQuestion("m2.six.internal", isVersion6: true))
                /// The addresses that it is told.
                func asked() throws -> [String?] {
                    var told: JSONValue?
                    // Who answers may just have begun.
                    for _ in 0..<60 where told?.integer("answer_code") == nil {
                        told = try Told(
                            .udp, from: ports[0], to: "fd00:9::1", Self.gateway, 53, asking: question,
                            milliseconds: 1000
                        ).lines[0]
                    }
                    return told?["addresses"]?.elements?.map(\.text) ?? []
                }
                #expect(try asked() == ["fd00:9::3"])
                // Also where it may not reach everything.
                ports[0].egress = try EgressPolicy([EgressRule(parsing: "[2001:db8::7]:443")])
                try engine.put(change([], ports))
                #expect(try asked() == ["fd00:9::3"])
                let forbidden = try Told(.tcp, from: ports[0], to: "2001:db8::7", Self.gateway, 80, milliseconds: 2000)
                #expect(!forbidden.dropped.isEmpty)
            })
    }

    @Test func `what comes from outside to a published port is seen until the answer has left`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, wayOut) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                _ = try Place(1, "10.9.0.2", "fd00:9::2")
                var lan = network("lan", 1, "10.9.0.0/24")
                lan.prefixes += [NetworkPrefix("fd00:9::/64")].compactMap { $0 }
                var machine = port(1, "lan", "10.9.0.2")
                machine.addresses += [IPAddress("fd00:9::2")].compactMap { $0 }
                machine.published = [
                    PublishedPort(.tcp, 8080...8080, to: 80), PublishedPort(.udp, 8053...8053, to: 53),
                ]
                .compactMap { $0 }
                try engine.put(change([lan], [machine]))
                for address in ["127.0.0.1", "::1"] {
                    // The link takes a moment, and nobody listens at the port.
                    let told = try wayOut.atComputer {
                        var told = try Told(.tcp, fromOutsideTo: address, 8080, milliseconds: 2000)
                        for _ in 0..<20 where told.places("reset").isEmpty {
                            told = try Told(.tcp, fromOutsideTo: address, 8080, milliseconds: 2000)
                        }
                        return told
                    }
                    #expect(told.places("question").first == "up0" && told.places("question").last == ">t1")
                    #expect(told.places("reset").first == "t1" && told.places("reset").last == ">up0")
                    #expect(told.places("reset", outside: true).first?.hasPrefix("swiftlet-up") == true)
                    #expect(
                        told.lines.contains {
                            $0.text("accepted") == "question" && $0.text("comment") == "published ports"
                        })
                    // Somebody on the computer has it.
                    let none = try wayOut.atComputer { try Told(.tcp, fromOutsideTo: address, 8081) }
                    #expect(none.places("question").isEmpty && none.places("reset", outside: true).contains("lo"))
                    let datagram = try wayOut.atComputer { try Told(.udp, fromOutsideTo: address, 8053) }
                    #expect(datagram.places("question").last == ">t1" && datagram.places("refused").first == "t1")
                }
                // Nothing is sent to where others are.
                #expect(throws: FabricFault.self) {
                    try wayOut.atComputer { try Told(.tcp, fromOutsideTo: "192.0.2.7", 8080) }
                }
            })
    }

    @Test func `a packet is seen wherever it goes, and so is its answer, until it is back`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                _ = [try Place(1, "10.9.0.2", "fd00:9::2"), try Place(2, "10.9.0.3", "fd00:9::3")]
                let lan = network("lan", 1, "10.9.0.0/24") {
                    $0.prefixes += [NetworkPrefix("fd00:9::/64")].compactMap { $0 }
                }
                var ports = [port(1, "lan", "10.9.0.2"), port(2, "lan", "10.9.0.3")]
                for place in 0..<2 { ports[place].addresses += [IPAddress("fd00:9::\(place + 2)")].compactMap { $0 } }
                try engine.put(change([lan], ports))
                try Self.awaitPath(from: ports[0], to: ports[1])
                let forth = [">p1", "q1", ">q2", "p2", ">t2"]
                let back = ["t2", ">p2", "q2", ">q1", "p1", ">t1"]
                let closed = try Told(.tcp, from: ports[0], to: "10.9.0.3", ports[1].hardwareAddress, 81)
                #expect(closed.lines[0].text("sent_over") == "p1" && closed.lines[0].boolean("tells_rules") == true)
                #expect(closed.places("question") == forth && closed.places("reset") == back)
                #expect(closed.dropped.isEmpty)
                let ping = try Told(.icmp, from: ports[0], to: "10.9.0.3", ports[1].hardwareAddress)
                #expect(ping.places("question") == forth && ping.places("answered") == back)
                let datagram = try Told(.udp, from: ports[0], to: "10.9.0.3", ports[1].hardwareAddress, 81)
                #expect(datagram.places("question") == forth && datagram.places("refused") == back)
                let kinds = datagram.lines.filter { $0.text("seen") == "refused" }.map { $0.integer("kind") }
                #expect(Set(kinds) == [3])
                for kind in [TraceRequest.Transport.tcp, .icmp] {
                    let told = try Told(
                        kind, from: ports[0], source: "fd00:9::2", to: "fd00:9::3", ports[1].hardwareAddress,
                        kind == .tcp ? 81 : 0)
                    #expect(told.places("question") == forth)
                    #expect(told.places(kind == .tcp ? "reset" : "answered") == back)
                }
                // The network's own program for names listens there.
                var names = try Told(.tcp, from: ports[0], to: "10.9.0.1", Self.gateway, 53)
                for _ in 0..<60 where names.places("accepted").isEmpty {
                    names = try Told(.tcp, from: ports[0], to: "10.9.0.1", Self.gateway, 53)
                }
                #expect(names.places("question") == [">p1", "q1", "n1"])
                #expect(names.places("accepted") == [">n1", ">q1", "p1", ">t1"])
                #expect(!(try run("/usr/sbin/nft", "list", "tables")).contains("trace"))
            })
    }

    @Test func `the rule that drops it is told`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer {
                    engine.nameServers.endAll()
                    engine.strictNameServers.endAll()
                }
                let machines = [try Place(1, "10.9.0.2"), try Place(2, "10.9.0.3")]
                let lan = network("lan", 1, "10.9.0.0/24") { $0.reachesOutside = false }
                var ports = [port(1, "lan", "10.9.0.2"), port(2, "lan", "10.9.0.3")]
                try engine.put(change([lan], ports))
                try Self.awaitPath(from: ports[0], to: ports[1])
                let isolated = try Told(.tcp, from: ports[0], to: "192.0.2.1", Self.gateway, 25)
                #expect(isolated.places("question") == [">p1", "q1", "n1"])
                #expect(
                    isolated.dropped.count == 1 && isolated.dropped[0].hasPrefix("question inet forward no network may")
                )
                let foreign = try Told(
                    .udp, from: ports[0], source: "10.9.0.77", to: "10.9.0.3", ports[1].hardwareAddress, 53)
                #expect(foreign.places("question") == [">p1", "q1"])
                #expect(foreign.dropped == ["question bridge machine another machine's address"])
                ports[0].egress = try EgressPolicy([EgressRule(parsing: "192.0.2.0/24:443")])
                try engine.put(change([network("lan", 1, "10.9.0.0/24")], [ports[0]]))
                let forbidden = try Told(.tcp, from: ports[0], to: "192.0.2.1", Self.gateway, 25)
                #expect(forbidden.dropped == ["question inet q1 the machine may not reach it (swiftlet egress)"])
                #expect(forbidden.places("refused").last == ">t1")
                // What the guest's own rules do nobody else knows.
                try machines[1].shell(
                    "/usr/sbin/nft 'table inet own { chain input { type filter hook input priority 0; icmp type echo-request drop; }; }'"
                )
                let silent = try Told(
                    .icmp, from: ports[0], to: "10.9.0.3", ports[1].hardwareAddress, milliseconds: 500)
                #expect(silent.places("question").last == ">t2" && silent.dropped.isEmpty)
                #expect(!(try run("/usr/sbin/nft", "list", "tables")).contains("trace"))
            })
    }

    @Test func `nft's own trace names the same rules`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer {
                    engine.nameServers.endAll()
                    engine.strictNameServers.endAll()
                }
                _ = [try Place(1, "10.9.0.2"), try Place(2, "10.9.0.3"), try Place(3, "10.9.3.2")]
                let networks = [
                    network("lan", 1, "10.9.0.0/24") { $0.reachesOutside = false }, network("far", 3, "10.9.3.0/24"),
                ]
                var ports = [port(1, "lan", "10.9.0.2"), port(2, "lan", "10.9.0.3"), port(3, "far", "10.9.3.2")]
                try engine.put(change(networks, ports))
                try Self.awaitPath(from: ports[0], to: ports[1])
                /// What trace says of a packet, and what `nft monitor trace` says meanwhile of all that the machine sends.
                func judge(_ trace: () throws -> Told) throws -> (told: [String], judged: [String]) {
                    let file = "/run/judged"
                    // It has read the rules when it tells of a packet.
                    try run(
                        "/usr/sbin/nft",
                        """
                        add table bridge judge; add chain bridge judge marked { type filter hook prerouting priority -400; };
                        add rule bridge judge marked iifname "q1" meta nftrace set 1
                        """)
                    let output = try open(file, [.writeOnly, .create, .truncate], mode: 0o600)
                    let monitor = try Programs.start(["/usr/sbin/nft", "monitor", "trace"], output: output.number)
                    func lines() throws -> [String] {
                        try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").map { String($0) }
                    }
                    try soon {
                        _ = try Told(
                            .icmp, from: ports[0], to: "10.9.0.3", ports[1].hardwareAddress, milliseconds: 1000)
                        return try !lines().isEmpty
                    }
                    let before = try lines().count
                    let told = try trace()
                    var judged: [String] = []
                    try soon {
                        judged = try lines().dropFirst(before).filter { $0.hasSuffix("(verdict drop)") }
                        return !judged.isEmpty
                    }
                    try run("/bin/kill", "\(monitor)")
                    try run("/usr/sbin/nft", "delete table bridge judge")
                    // trace id ID FAMILY TABLE CHAIN rule …
                    return (
                        told.dropped,
                        Set(judged).map { line in
                            let words = line.split(separator: " ")
                            let comment = line.split(separator: "\"").dropLast().last ?? ""
                            return "question \(words[3]) \(words[5]) \(comment)"
                        }
                    )
                }
                let isolated = try judge { try Told(.tcp, from: ports[0], to: "192.0.2.1", Self.gateway, 25) }
                #expect(isolated.told.count == 1 && isolated.judged == isolated.told)
                let unreached = try judge { try Told(.tcp, from: ports[0], to: "10.9.3.2", Self.gateway, 25) }
                #expect(unreached.told.count == 1 && unreached.judged == unreached.told)
                let foreign = try judge {
                    try Told(.udp, from: ports[0], source: "10.9.0.77", to: "10.9.0.3", ports[1].hardwareAddress, 53)
                }
                #expect(foreign.told == ["question bridge machine another machine's address"])
                #expect(foreign.judged == foreign.told)
                ports[0].egress = try EgressPolicy([EgressRule(parsing: "192.0.2.0/24:443")])
                try engine.put(change([network("lan", 1, "10.9.0.0/24")], [ports[0]]))
                let forbidden = try judge {
                    try Told(.udp, from: ports[0], to: "192.0.2.1", Self.gateway, 25)
                }
                #expect(forbidden.told.count == 1 && forbidden.judged == forbidden.told)
                report("nft monitor trace: \(isolated.judged + unreached.judged + foreign.judged + forbidden.judged)")
            })
    }

    @Test func `appliances are places on the way, also those that let nothing out`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                _ = [try Place(1, "10.9.0.2"), try Place(2, "10.9.0.3")]
                let appliance = try Place.bridge(11, 12)
                var ports = [port(1, "lan", "10.9.0.2"), port(2, "lan", "10.9.0.3")]
                let ends = [11, 12].map {
                    FabricPort(number: $0, network: nil, hardwareAddress: [2, 0, 0, 0, 0, UInt8($0)])
                }
                try engine.put(change([network("lan", 1, "10.9.0.0/24")], ports + ends))
                try Self.awaitPath(from: ports[0], to: ports[1])
                ports[0].line = [InlineAppliance(name: "a", inside: 11, outside: 12)]
                try engine.put(change([], [ports[0]]))
                try Self.awaitPath(from: ports[0], to: ports[1])
                let through = try Told(.tcp, from: ports[0], to: "10.9.0.3", ports[1].hardwareAddress, 81)
                #expect(through.lines[0].text("sent_over") == "t11")
                #expect(through.places("question") == [">t11", "t12", ">p1", "q1", ">q2", "p2", ">t2"])
                #expect(through.places("reset").suffix(4) == ["p1", ">t12", "t11", ">t1"])
                try appliance.shell("ip link set br0 down")
                let swallowed = try Told(
                    .tcp, from: ports[0], to: "10.9.0.3", ports[1].hardwareAddress, 81, milliseconds: 500)
                #expect(swallowed.places("question") == [">t11"])
                // Behind it, on the way back.
                let onward = try Told(
                    .tcp, from: ports[1], to: "10.9.0.2", ports[0].hardwareAddress, 81, milliseconds: 500)
                #expect(onward.places("question") == [">p2", "q2", ">q1", "p1", ">t12"])
            })
    }

    @Test func `a router between networks is a place on the way, also one that knows no route`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                _ = [try Place(1, "10.9.1.2"), try Place(2, "10.9.2.2")]
                let router = try Place.router(11, 12)
                let ports = [port(1, "inner", "10.9.1.2"), port(2, "outer", "10.9.2.2")]
                let ends = [11, 12].map {
                    FabricPort(number: $0, network: nil, hardwareAddress: [2, 0, 0, 0, 0, UInt8($0)])
                }
                var between = FabricPort(number: 7, network: "outer", hardwareAddress: FabricPort.upperStation(7))
                between.joined = "inner"
                between.line = [
                    InlineAppliance(
                        name: "router", inside: 11, outside: 12, patienceMilliseconds: 1000,
                        routing: InlineAppliance.Stations(
                            inside: [2, 0, 0, 1, 0, 0x11], outside: [2, 0, 0, 1, 0, 0x12]))
                ]
                let networks = [network("inner", 1, "10.9.1.0/24"), network("outer", 2, "10.9.2.0/24")]
                try engine.put(change(networks, ports + ends + [between]))
                let forth = [">p1", "q1", "n1", ">u7", "t7", ">t11", "t12", ">p7", "q7", ">n2", ">q2", "p2", ">t2"]
                var told = try Told(.tcp, from: ports[0], to: "10.9.2.2", Self.gateway, 81)
                // Links that are new take a moment.
                for _ in 0..<60 where told.places("reset").isEmpty {
                    told = try Told(.tcp, from: ports[0], to: "10.9.2.2", Self.gateway, 81)
                }
                #expect(told.places("question") == forth)
                #expect(told.places("reset").contains("t11") && told.places("reset").last == ">t1")
                try router.shell("ip route del 10.9.2.0/24; ip route add unreachable 10.9.2.0/24")
                let refused = try Told(.tcp, from: ports[0], to: "10.9.2.2", Self.gateway, 81)
                #expect(refused.places("question") == [">p1", "q1", "n1", ">u7", "t7", ">t11"])
                #expect(refused.places("refused").first == "t11" && refused.places("refused").last == ">t1")
                let from = Set(refused.lines.filter { $0.text("seen") == "refused" }.map { $0.text("from") })
                #expect(from == ["169.254.83.2"])
            })
    }

    @Test func `impaired wires are places on the way, and so is what is between networks`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                engine.program = ByteString(engineProgram)
                defer { engine.nameServers.endAll() }
                _ = [try Place(1, "10.9.0.2"), try Place(2, "10.8.0.2")]
                _ = try Place.bridge(11, 12)
                let lan = network("lan", 1, "10.9.0.0/24") { $0.reachableNetworks = ["dmz"] }
                var ports = [port(1, "lan", "10.9.0.2"), port(2, "dmz", "10.8.0.2")]
                let ends = [11, 12].map {
                    FabricPort(number: $0, network: nil, hardwareAddress: [2, 0, 0, 0, 0, UInt8($0)])
                }
                var passage = FabricPort(number: 7, network: "dmz", hardwareAddress: FabricPort.upperStation(7))
                passage.joined = "lan"
                try engine.put(change([lan, network("dmz", 2, "10.8.0.0/24")], ports + ends + [passage]))
                func trace(milliseconds: UInt64 = 20_000) throws -> Told {
                    try Told(.tcp, from: ports[0], to: "10.8.0.2", Self.gateway, 81, milliseconds: milliseconds)
                }
                /// Links that are new take a moment.
                func expect(_ way: [String], _ kind: String, milliseconds: UInt64 = 2000, line: Int = #line) throws {
                    var found: [String] = []
                    for _ in 0..<20 where found != way { found = try trace(milliseconds: milliseconds).places(kind) }
                    #expect(found == way, "line \(line)")
                }
                try expect([">p1", "q1", "n1", ">n2", ">q2", "p2", ">t2"], "question")
                var slow = Impairment()
                slow.toNetwork.delayMicroseconds = 30_000
                ports[0].impairment = slow
                try engine.put(change([], [ports[0]]))
                try expect([">x1", "y1", ">p1", "q1", "n1", ">n2", ">q2", "p2", ">t2"], "question")
                let told = try trace()
                #expect(told.places("reset").suffix(4) == ["p1", ">y1", "x1", ">t1"])
                // One that loses everything is where it ends.
                slow.toNetwork.lossMillipercent = 100_000
                ports[0].impairment = slow
                try engine.put(change([], [ports[0]]))
                try expect([">x1"], "question", milliseconds: 300)
                ports[0].impairment = nil
                passage.impairment = Impairment()
                passage.impairment?.toNetwork.delayMicroseconds = 20_000
                try engine.put(change([], [ports[0], passage]))
                try expect(
                    [">p1", "q1", "n1", ">u7", "t7", ">x7", "y7", ">p7", "q7", ">n2", ">q2", "p2", ">t2"], "question")
                passage.line = [InlineAppliance(name: "a", inside: 11, outside: 12, patienceMilliseconds: 1000)]
                try engine.put(change([], ends + [passage]))
                try expect(
                    [
                        ">p1", "q1", "n1", ">u7", "t7", ">t11", "t12", ">x7", "y7", ">p7", "q7", ">n2", ">q2", "p2",
                        ">t2",
                    ], "question")
                try engine.put(change(without: [1, 2, 7, 11, 12]))
            })
    }

    /// On the computer's side, with a network behind it: `192.0.2.1` leads to `198.18.0.7`.
    private static let internet = """
        ip netns add internet
        ip link add eth9 type veth peer name eth0 netns internet
        ip address add 192.0.2.9/24 dev eth9
        ip link set eth9 up
        ip route add default via 192.0.2.1
        ip netns exec internet sh -ec 'ip link set lo up; ip address add 198.18.0.7 dev lo
            ip address add 192.0.2.1/24 dev eth0; ip link set eth0 up'
        ip address add 198.18.0.1 dev lo
        dnsmasq --no-hosts --no-resolv --listen-address=198.18.0.1 --bind-interfaces --pid-file=/run/outside.pid \
            --address=/allowed.test/198.18.0.7 --address=/other.test/198.18.0.8
        """

    @Test func `what leaves the fabric is followed until it leaves the computer, also to where a name is`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, wayOut) = try TestComputer().engine()
                defer {
                    engine.nameServers.endAll()
                    engine.strictNameServers.endAll()
                    _ = succeeds("/bin/sh", "-c", "kill $(cat /run/outside.pid)")
                }
                _ = try wayOut.atComputer {
                    try run("/usr/bin/env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-ec", Self.internet)
                }
                _ = try Place(1, "10.9.0.2")
                var machine = port(1, "lan", "10.9.0.2")
                let lan = network("lan", 1, "10.9.0.0/24") {
                    $0.nameServers = ["198.18.0.1"].compactMap { IPAddress($0) }
                }
                try engine.put(change([lan], [machine]))
                func trace(_ transport: TraceRequest.Transport, _ port: UInt16 = 0, milliseconds: UInt64 = 20_000)
                    throws -> Told
                {
                    try wayOut.atComputer {
                        try Told(
                            transport, from: machine, to: "198.18.0.7", Self.gateway, port, milliseconds: milliseconds)
                    }
                }
                func answer(to name: String, isVersion6: Bool = false) throws -> JSONValue {
                    let question = try #require(NameQuestion(name, isVersion6: isVersion6))
                    // Who answers may just have begun, and takes a moment.
                    for _ in 0..<60 {
                        let told = try wayOut.atComputer {
                            try Told(
                                .udp, from: machine, to: "10.9.0.1", Self.gateway, 53, asking: question,
                                milliseconds: 1000
                            ).lines[0]
                        }
                        if told.integer("answer_code") != nil { return told }
                        sleep(nanoseconds: 20_000_000)
                    }
                    throw FabricFault("nobody answers for \(name)")
                }
                var ping = try trace(.icmp, milliseconds: 1000)
                for _ in 0..<20 where ping.places("answered").last != ">t1" {
                    ping = try trace(.icmp, milliseconds: 1000)
                }
                let way = try #require(ping.lines[0]["way_outside"])
                #expect(way.text("device") == "eth9" && way.text("gateway") == "192.0.2.1")
                #expect(ping.places("question").last == ">up0")
                #expect(ping.places("question", outside: true) == ["swiftlet-up0", ">eth9"])
                #expect(ping.places("answered", outside: true) == ["eth9", ">swiftlet-up0"])
                #expect(ping.places("answered").first == "up0")
                let devices = ping.lines.compactMap { $0.text("device") }
                #expect(devices.firstIndex(of: "up0") ?? 99 < devices.firstIndex(of: "eth9") ?? 0)
                let leaving = ping.lines.first { $0.text("device") == "eth9" }
                #expect(leaving?.text("from") == "192.0.2.9" && leaving?.text("to") == "198.18.0.7")
                #expect(try trace(.tcp, 81).places("reset").last == ">t1")
                // Who is in the fabric sees nothing of that.
                let inner = try Told(.icmp, from: machine, to: "198.18.0.7", Self.gateway)
                #expect(inner.places("answered").last == ">t1" && inner.lines[0]["way_outside"] == nil)
                // Names, as the machine is told them.
                let told = try answer(to: "allowed.test")
                #expect(told.integer("answer_code") == 0)
                #expect(told["addresses"]?.elements?.map(\.text) == ["198.18.0.7"])
                #expect(try answer(to: "allowed.test", isVersion6: true)["addresses"]?.elements?.isEmpty == true)
                machine.egress = try EgressPolicy([EgressRule(parsing: "allowed.test:81")])
                try engine.put(change([], [machine]))
                #expect(try answer(to: "other.test").integer("answer_code") == 3)
                // Which rule lets it out, and which does not.
                #expect(try answer(to: "www.allowed.test").integer("answer_code") == 0)
                let allowed = try trace(.tcp, 81)
                #expect(allowed.places("reset").last == ">t1")
                let rules = allowed.lines.filter { $0.text("accepted") == "question" }
                #expect(rules.map { $0.text("comment") } == ["allowed.test:81"])
                let forbidden = try trace(.tcp, 25)
                #expect(forbidden.dropped.count == 1 && forbidden.places("question", outside: true).isEmpty)
                // What the computer's own rules keep is not seen leaving it.
                _ = try wayOut.atComputer {
                    try run(
                        "/usr/sbin/nft",
                        "table inet own { chain forward { type filter hook forward priority 0; policy drop; }; }")
                }
                let kept = try trace(.tcp, 81, milliseconds: 500)
                #expect(kept.places("question", outside: true) == ["swiftlet-up0"])
                #expect(wayOut.hindrances().map(\.description) == ["inet own forward"])
                // No way leads there.
                _ = try wayOut.atComputer { try run("/usr/sbin/ip", "route", "delete", "default") }
                #expect(try trace(.tcp, 81, milliseconds: 500).lines[0]["way_outside"]?.text("error") != nil)
            })
    }
}
