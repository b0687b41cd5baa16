import AgentProtocol
import FabricProtocol
import Foundation
import Networks
import Testing

@testable import Fleet

/// Two machines of a network and one of each of two others, as they are written down; and what is told of packets.
@Suite final class TraceJudgementTests {
    private let folder = NSTemporaryDirectory() + "trace-\(UInt64.random(in: 0...UInt64.max))"
    private let store: MachineStore
    private let machines: [MachineRecord]

    init() throws {
        store = MachineStore(ProductPaths(data: folder, runtime: folder + "/run", libexec: folder))
        var wish = NetworkStore.Wish()
        wish.reachesOutside = false
        wish.prefixes = [try #require(NetworkPrefix("10.9.0.0/24"))]
        try store.networks.create("lan", wish)
        wish.prefixes = [try #require(NetworkPrefix("10.8.0.0/24"))]
        try store.networks.create("dmz", wish)
        var machines: [MachineRecord] = []
        wish.reachesOutside = true
        wish.prefixes = [try #require(NetworkPrefix("10.7.0.0/24"))]
        try store.networks.create("outer", wish)
        wish.prefixes = [try #require(NetworkPrefix("fd00:6::/64"))]
        try store.networks.create("six", wish)
        for (name, network) in [
            ("client", "lan"), ("web", "lan"), ("shop", "dmz"), ("phone", "outer"), ("new", "six"),
        ] {
            var specification = MachineSpecification()
            specification.command = ["sh"]
            specification.interfaces = [try MachineInterface(parsing: network)]
            machines.append(try store.create(specification, name: name).record)
        }
        self.machines = machines
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private var routes: TraceRoutes {
        TraceRoutes(store: store, networks: store.networks.list(), running: machines, interfaces: { $0.interfaces })
    }

    private func route(to name: String) throws -> TraceRoute {
        let client = machines[0]
        return try routes.find(from: client, client.interfaces, to: name)
    }

    private func port(_ machine: Int) throws -> UInt16 { try #require(machines[machine].interfaces[0].portNumber) }

    private func seen(_ kind: String, _ device: String, sent: Bool, more: String = "") -> String {
        """
        {"seen":"\(kind)","nanoseconds":1000,"device":"\(device)","is_sent":\(sent),"text":"tcp a > b, 54 bytes","from":"10.9.0.1","to":"10.9.0.2"\(more)}
        """
    }

    private func judged(_ route: TraceRoute, _ lines: [String], _ change: (inout TraceJudgement) -> Void = { _ in })
        -> PacketTrace
    {
        let head = #"{"sent_over":"p1","text":"tcp a > b SYN, 54 bytes","from_port":50000,"tells_rules":true}"#
        let sightings = TraceSightings(([head] + lines).map { Array($0.utf8) })
        let places = TracePlaces(store.networks.list(), machines.map { ($0, $0.interfaces) }, [])
        var judgement = TraceJudgement(route: route, sightings: sightings, places: places)
        change(&judgement)
        return judgement.judged(
            PacketTrace(
                transport: "tcp", from: .init(address: route.source.address.description, port: 50000, name: "client"),
                to: .init(address: route.destination.address.description, port: 80, name: route.destination.name)))
    }

    @Test func `a network in the place of a machine is told as that`() throws {
        let lines = Lines(store: store, records: machines)
        let error = #expect(throws: FleetError.self) { try lines.interface("lan") }
        #expect(error?.message.hasPrefix("\"lan\" is a network and no machine") == true)
        let other = #expect(throws: FleetError.self) { try lines.interface("nobody") }
        #expect(other?.message.contains("no machine is called \"nobody\"") == true)
    }

    @Test func `who is in no wire is not swapped, which is found before anything is said`() {
        let fleet = MachineFleet(store.paths)
        let error = #expect(throws: FleetError.self) { try fleet.checkSwap("client", for: "web") }
        #expect(error?.message.contains("\"client\" is in no wire") == true)
    }

    @Test func `targets are read as people write them`() throws {
        for (text, name, port) in [
            ("web:80", "web", 80), ("10.0.0.1:53", "10.0.0.1", 53), ("[fd00::1]:53", "fd00::1", 53),
            ("@lan:53", "@lan", 53), ("web.lan.internal:443", "web.lan.internal", 443),
        ] as [(String, String, UInt16)] {
            let target = try TraceTarget(text, .tcp)
            #expect(target.name == name && target.port == port)
        }
        #expect(try TraceTarget("fd00::1", .icmp).name == "fd00::1")
        for text in ["web", "web:", "web:0", "web:65536", "web:http", ":80", "fd00::1", "[fd00::1]80", ""] {
            #expect(throws: FleetError.self) { try TraceTarget(text, .udp) }
        }
        for (text, hint) in [
            ("80", "say whose: web:80"), ("http://web/", "say web:80"), ("https://web", "say web:443"),
            ("http://[fd00::1]:8080/x:1?y", "say [fd00::1]:8080"),
        ] {
            let error = #expect(throws: FleetError.self) { try TraceTarget(text, .tcp) }
            #expect(error?.message.hasSuffix(hint) == true)
        }
        #expect(throws: FleetError.self) { try TraceTarget("web:80", .icmp) }
    }

    @Test func `a packet is handed to the one that has the address, or to who leads out`() throws {
        let near = try route(to: "web")
        #expect(near.source.address.description == "10.9.0.2" && near.destination.address.description == "10.9.0.3")
        #expect(near.nextStation == HardwareAddress.bytes(machines[1].interfaces[0].hardwareAddress))
        let far = try route(to: "shop.dmz.internal")
        #expect(far.destination.machine?.name == "shop" && far.destination.network?.name == "dmz")
        let lan = try #require(store.networks.list().first { $0.name == "lan" })
        let gateway = lan.fabricNetwork(nameServers: []).hardwareAddress
        #expect(far.nextStation == gateway)
        #expect(try route(to: "192.0.2.1").nextStation == gateway)
        #expect(try route(to: "lan").nextStation == gateway && route(to: "@lan").destination.name == "lan")
        let nobody = try route(to: "10.9.0.77")
        #expect(nobody.nextStation == nil && nobody.hindrance == "nobody in lan has 10.9.0.77")
        #expect(routes.isForeign("example.org") && routes.isForeign("Example.ORG"))
        for name in ["web", "web.lan.internal", "no.such.internal", "192.0.2.1", "fd00::1", "@a.b", "a..b", "nobody"] {
            #expect(!routes.isForeign(name))
        }
        for name in ["example.org", "10.9.0.2", "fd00::1", "@wan"] {
            #expect(throws: FleetError.self) { try self.route(to: name) }
        }
    }

    @Test func `what comes back says what is there`() throws {
        let (one, other) = (try port(0), try port(1))
        let way = [
            seen("question", "p\(one)", sent: true), seen("question", "q\(one)", sent: false),
            seen("question", "q\(other)", sent: true), seen("question", "p\(other)", sent: false),
            seen("question", "t\(other)", sent: true),
        ]
        let route = try route(to: "web")
        let answered = judged(
            route, way + [seen("accepted", "t\(other)", sent: false), seen("accepted", "t\(one)", sent: true)])
        #expect(answered.outcome == .answered && answered.isSuccess)
        #expect(
            answered.steps.map(\.words) == [
                "sends tcp a > b SYN", "enters lan as tcp a > b", "leaves lan", "gets it", "answers: tcp a > b",
                "gets the answer",
            ])
        #expect(answered.steps.map(\.place)[1...3] == ["client:eth0@lan", "web:eth0@lan", "web:eth0"])
        #expect(judged(route, way + [seen("reset", "t\(one)", sent: true)]).outcome == .refused)
        let told = seen("refused", "t\(one)", sent: true, more: #","kind":3,"code":1"#)
        let unreachable = judged(route, way + [told])
        #expect(
            unreachable.outcome == .unreachable
                && unreachable.explanation == "10.9.0.1 says: nobody answers for that address")
        #expect(judged(route, way).outcome == .unanswered)
        let half = judged(route, way + [seen("accepted", "t\(other)", sent: false)])
        #expect(half.outcome == .answerLost && half.lastPlace == "web:eth0")
    }

    @Test func `who was never reached is not blamed for what somebody else answers`() throws {
        let home = "t\(try port(0))"
        let route = try route(to: "shop")
        let left = [
            seen("question", "p\(try port(0))", sent: true), seen("question", "up0", sent: true),
            seen("question", "eth9", sent: true, more: #","is_outside":true"#),
        ]
        let outside = judged(
            route,
            left + [
                seen("reset", "eth9", sent: false, more: #","is_outside":true"#), seen("reset", "up0", sent: false),
                seen("reset", home, sent: true),
            ])
        #expect(outside.outcome == .lost && outside.lastPlace == "outside")
        #expect(
            outside.explanation
                == "it has left this fabric, and somebody there refuses tcp port 80; shop was never reached: nothing leads from lan to dmz"
        )
        #expect(
            judged(route, left).explanation.hasSuffix("; shop was never reached: nothing leads from lan to dmz"))
        // A firewall on the way.
        let other = "t\(try port(1))"
        let answer = judged(
            route,
            [seen("question", other, sent: true), seen("reset", other, sent: false), seen("reset", home, sent: true)])
        #expect(answer.outcome == .refused)
        #expect(
            answer.explanation == "web refuses tcp port 80 in the place of shop, which was never reached")
        let reached = judged(route, [seen("question", "t\(try port(2))", sent: true), seen("reset", home, sent: true)])
        #expect(reached.explanation == "shop refuses: nothing listens at tcp port 80")
    }

    @Test func `what drops it is said in words`() throws {
        let one = try port(0)
        let way = [seen("question", "p\(one)", sent: true), seen("question", "n1", sent: false)]
        func loss(_ kind: String, _ family: String, _ table: String, _ chain: String, _ comment: String) -> String {
            #"{"dropped":"\#(kind)","family":"\#(family)","table":"\#(table)","chain":"\#(chain)","handle":7,"comment":"\#(comment)"}"#
        }
        func dropped(_ to: String, _ family: String, _ table: String, _ chain: String, _ comment: String) throws
            -> PacketTrace
        {
            judged(try route(to: to), way + [loss("question", family, table, chain, comment)])
        }
        let reach = "no network may be reached from another unless it is said (--reach)"
        let isolated = try dropped("192.0.2.1", "inet", "swiftlet", "forward", reach)
        #expect(isolated.outcome == .dropped && isolated.explanation.hasPrefix("lan is isolated"))
        #expect(isolated.rule?.handle == 7 && isolated.steps.last?.words == "drops it")
        let unreached = try dropped("shop", "inet", "swiftlet", "forward", reach)
        #expect(unreached.explanation.contains("swiftlet network update --reach dmz lan"))
        let around = judged(
            try route(to: "shop"), way + [loss("question", "inet", "swiftlet", "forward", reach)]
        ) { $0.avoided = [TraceJudgement.Appliance(name: "router", isFailing: true, failsOpen: true)] }
        #expect(
            around.explanation.hasPrefix(
                "between lan and dmz router fails, so that traffic goes around it, by what the networks say: lan may not"
            ))
        // All machines have one chain; who leads out of a network has its own.
        let (other, spoofed) = (try port(1), "another machine's address")
        let foreign = judged(
            try route(to: "web"), way.dropLast() + [loss("question", "bridge", "swiftlet", "machine", spoofed)])
        #expect(
            foreign.lastPlace == "client:eth0@lan"
                && foreign.explanation.hasPrefix("client may") && foreign.explanation.hasSuffix("from \(spoofed)"))
        let answer = [seen("accepted", "t\(other)", sent: false), seen("accepted", "p\(other)", sent: true)]
        let lost = judged(
            try route(to: "web"), way + answer + [loss("answer", "bridge", "swiftlet", "machine", spoofed)])
        #expect(lost.lastPlace == "web:eth0@lan" && lost.explanation.contains("dropped: web may"))
        let leader = try dropped("192.0.2.1", "bridge", "swiftlet", "q\(other)", spoofed)
        #expect(leader.lastPlace == "web:eth0@lan" && leader.explanation.hasPrefix("web may"))
        let egress = try dropped("192.0.2.1", "inet", "swiftlet-egress", "q\(one)", "x")
        #expect(egress.explanation.contains("swiftlet egress ls client"))
        #expect(try dropped("192.0.2.1", "ip", "theirs", "c", "because").explanation == "because")
    }

    @Test func `what is to leave by IPv6 is handed to who leads out, who says that nothing does by that`() throws {
        let machine = machines[4]
        let names = try routes.names(from: machine, machine.interfaces)
        let route = try routes.find(from: machine, machine.interfaces, to: "2001:db8::7")
        #expect(route.source.address.family == .v6 && route.nextStation == names.nextStation)
        // Of a network with both kinds of addresses it asks the gateway by that which it has itself.
        var both = NetworkStore.Wish()
        both.prefixes = ["10.5.0.0/24", "fd00:5::/64"].compactMap { NetworkPrefix($0) }
        try store.networks.create("both", both)
        let whole = machine.interfaces[0]
        let six = MachineNetwork.fabric(
            network: "six", addresses: whole.guestAddresses.filter { $0.address.contains(":") })
        let own = [
            AssignedInterface(
                interface: MachineInterface(six), place: whole.place, ownNetwork: whole.ownNetwork,
                hardwareAddress: whole.hardwareAddress)
        ]
        for name in ["both", "@both"] {
            #expect(try routes.find(from: machine, own, to: name).destination.address == IPAddress("fd00:5::1"))
            #expect(try self.route(to: name).destination.address == IPAddress("10.5.0.1"))
        }
        let home = "t\(try port(4))"
        let told = seen("refused", home, sent: true, more: #","kind":1,"code":0"#)
            .replacing(#""from":"10.9.0.1""#, with: #""from":"fd00:6::1""#)
        let trace = judged(route, [seen("question", "n4", sent: false), told])
        #expect(trace.outcome == .unreachable)
        #expect(
            trace.explanation
                == "fd00:6::1 says: no way leads to that network; networks lead out by IPv6 where this computer forwards it (net.ipv6.conf.all.forwarding)"
        )
        let users = judged(route, [seen("question", "n4", sent: false), told]) { $0.isUsers = true }
        #expect(users.explanation.hasSuffix("; networks of an ordinary user lead out by IPv4 alone"))
    }

    @Test func `the rule that lets it out is told`() throws {
        let rule =
            #"{"accepted":"question","family":"inet","table":"swiftlet-egress","chain":"q1","handle":3,"comment":"192.0.2.0/24:443"}"#
        let one = try port(0)
        let trace = judged(
            try route(to: "192.0.2.1"),
            [
                seen("question", "p\(one)", sent: true), seen("question", "n1", sent: false),
                seen("question", "up0", sent: true), rule,
            ])
        #expect(trace.steps[3].place == "lan")
        #expect(trace.steps[3].words == "the egress rule 192.0.2.0/24:443 of client lets it pass")
    }

    @Test func `what comes from outside is told by the machine's port, and what nobody has published as that`() throws {
        let web = try port(1)
        func told(_ lines: [String], port machinePort: UInt16? = 80) throws -> PacketTrace {
            let own = IPAddress(v4: 127, 0, 0, 1)
            let interface = machines[1].interfaces[0]
            let address = try #require(IPAddress(interface.guestAddresses[0].address))
            let route = TraceRoute(
                source: .init(address: own),
                destination: .init(address: address, machine: machines[1], interface: interface),
                nextStation: [2, 0, 0, 0, 0, 0])
            let head = #"{"sent_over":"","text":"tcp a > b SYN, 54 bytes","from_port":50000,"tells_rules":true}"#
            var judgement = TraceJudgement(
                route: route, sightings: TraceSightings(([head] + lines).map { Array($0.utf8) }),
                places: TracePlaces(store.networks.list(), machines.map { ($0, $0.interfaces) }, []))
            judgement.visit = OutsideVisit(address: own, port: 8080, machinePort: machinePort)
            let trace = PacketTrace(
                transport: "tcp", from: .init(address: "127.0.0.1", port: 50000, name: "outside"),
                to: .init(address: "127.0.0.1", port: 8080, name: "web"))
            return machinePort == nil
                ? judgement.judgedUnpublished(trace, resting: nil) : judgement.judged(trace)
        }
        let outside = #","is_outside":true"#
        let forth = [
            seen("question", "swiftlet-up0", sent: true, more: outside), seen("question", "up0", sent: false),
            seen("question", "t\(web)", sent: true),
        ]
        let back = seen("accepted", "swiftlet-up0", sent: false, more: outside)
        let rule =
            #"{"accepted":"question","family":"inet","table":"swiftlet","chain":"forward","handle":1,"comment":"published ports"}"#
        let answered = try told(forth + [seen("accepted", "t\(web)", sent: false), back, rule])
        #expect(answered.outcome == .answered)
        #expect(answered.explanation == "web answers at tcp port 80: something listens there")
        #expect(answered.steps.map(\.place) == ["this computer", "outside", "outside", "web:eth0", "web:eth0"])
        #expect(answered.steps[2].words == "its rule for published ports lets it in")
        #expect(try told(forth).outcome == .unanswered)
        #expect(try told([]).explanation.contains("it has not come into the fabric"))
        #expect(try told(Array(forth.prefix(2))).explanation.contains("leads to no machine there"))
        let local = #"{"seen":"accepted","device":"lo","is_sent":false,"is_outside":true}"#
        #expect(try told([local], port: nil).explanation.hasSuffix("a program of this computer answers there"))
        #expect(
            try told([local.replacing("accepted", with: "reset")], port: nil).explanation
                == "tcp port 8080 of 127.0.0.1 is published for no machine, and no program of this computer listens there"
        )
        let ports = [
            PublishedPort(.tcp, on: IPAddress("::1"), 8080...8089, to: 80), PublishedPort(.udp, 8080...8080, to: 1),
        ]
        .compactMap { $0 }
        func visit(_ address: String, _ port: UInt16) throws -> OutsideVisit {
            OutsideVisit(address: try #require(IPAddress(address)), port: port)
        }
        #expect(try visit("::1", 8085).published(among: ports, .tcp) == ports[0])
        #expect(try visit("127.0.0.1", 8085).published(among: ports, .tcp) == nil)
        #expect(try visit("::1", 8090).published(among: ports, .tcp) == nil)
        #expect(try visit("192.0.2.1", 8080).published(among: ports, .udp) == ports[1])
    }

    @Test func `a wire between two networks is looked at by its name`() throws {
        try store.write(
            Passages(all: [Passage(number: 50_001, networks: ["lan", "dmz"], entries: [])]))
        let hops = CaptureHops(
            store: store,
            fabric: FabricControl(launcher: LocalLauncher(store.paths, patienceSeconds: nil), store: store))
        func devices(_ words: String..., alongWires: Bool = false) throws -> [String] {
            try hops.find(words, alongWires: alongWires).map { "\($0.device) \($0.name)" }
        }
        #expect(try devices("between", "lan", "and", "dmz") == ["t50001 lan-dmz@lan"])
        #expect(try devices("between", "dmz", "and", "lan", "outer").first == "p50001 lan-dmz@dmz")
        #expect(
            try devices("between", "lan", "and", "dmz", alongWires: true) == [
                "t50001 lan-dmz@lan", "p50001 lan-dmz@dmz",
            ])
        for words in [
            ["between"], ["between", "lan", "dmz"], ["between", "lan", "and"], ["between", "lan", "and", "outer"],
        ] {
            #expect(throws: FleetError.self) { try hops.find(words, alongWires: false) }
        }
    }

    @Test func `places are called for a capture as they are called in what it and a trace say`() throws {
        try store.write(
            Passages(all: [Passage(number: 50_001, networks: ["lan", "dmz"], entries: [])]))
        let hops = CaptureHops(
            store: store,
            fabric: FabricControl(launcher: LocalLauncher(store.paths, patienceSeconds: nil), store: store))
        func devices(_ word: String, alongWires: Bool = false) throws -> [String] {
            try hops.find([word], alongWires: alongWires).map { "\($0.device) \($0.name)" }
        }
        #expect(try devices("lan-dmz") == ["t50001 lan-dmz@lan"])
        #expect(try devices("lan-dmz@lan") == ["t50001 lan-dmz@lan"])
        #expect(try devices("lan-dmz@dmz") == ["p50001 lan-dmz@dmz"])
        #expect(throws: FleetError.self) { try devices("lan-dmz@outer") }
        // As long as somebody has it, it runs.
        var specification = MachineSpecification()
        specification.command = ["sh"]
        specification.interfaces = [try MachineInterface(parsing: "lan")]
        let kept = try store.create(specification, name: "kept")
        defer { extendLifetime(kept) }
        let number = try #require(kept.record.interfaces[0].portNumber)
        #expect(try devices("kept:eth0") == ["\(FabricPort.tap(number)) kept:eth0"])
        for alongWires in [false, true] {
            #expect(
                try devices("kept:eth0@lan", alongWires: alongWires) == [
                    "\(FabricPort.end(number).wireEnd) kept:eth0@lan"
                ])
        }
        for wrong in ["kept:eth0@dmz", "kept:eth1@lan", "kept:@lan", "kept:eth0@", "kept@lan"] {
            #expect(throws: FleetError.self) { try devices(wrong) }
        }
    }

    @Test func `what goes to many, or never over a wire, is not traced as if somebody had that address`() throws {
        for (to, words) in [
            ("10.9.0.255", "every machine in \"lan\""), ("255.255.255.255", "every machine in \"lan\""),
            ("224.0.0.251", "many"), ("127.0.0.1", "itself"), ("127.8.0.1", "itself"), ("0.0.0.0", "nobody's"),
            ("ff02::1", "many"), ("::1", "itself"), ("::", "nobody's"),
        ] {
            let error = #expect(throws: FleetError.self) { _ = try route(to: to) }
            #expect(error?.message.contains(words) == true, "\(to): \(error?.message ?? "")")
        }
        #expect(try route(to: "10.9.0.254").hindrance == "nobody in lan has 10.9.0.254")
    }

    @Test func `why a name has no address is said in words`() throws {
        func answer(_ code: Int, _ addresses: String = "", of machine: Int = 0, _ rules: [String]? = nil) throws
            -> TraceNames.Answer?
        {
            var route = try routes.names(from: machines[machine], machines[machine].interfaces)
            route.source.machine?.specification.egress = try rules?.map { try EgressRule(parsing: $0) }
            let told = #"{"sent_over":"p1","text":"x","answer_code":\#(code),"addresses":[\#(addresses)]}"#
            return TraceNames(name: "a.test", route: route, sightings: TraceSightings([Array(told.utf8)]))
                .answer(isVersion6: false)
        }
        func words(_ answer: TraceNames.Answer?) -> String {
            if case .none(let words)? = answer { return words }
            return ""
        }
        #expect(
            try routes.names(from: machines[0], machines[0].interfaces).destination.address.description == "10.9.0.1")
        #expect(try answer(0, #""192.0.2.7""#) == .addresses([#require(IPAddress("192.0.2.7"))]))
        #expect(words(try answer(3)).hasPrefix("lan is isolated"))
        let outer = 3
        #expect(words(try answer(3, of: outer)) == "there is no name a.test")
        #expect(words(try answer(0, of: outer)) == "a.test has no address of IPv4")
        #expect(words(try answer(5, of: outer)).hasPrefix("outer has nobody to ask"))
        #expect(words(try answer(2, of: outer)).contains("does not answer"))
        #expect(words(try answer(3, of: outer, ["other.test"])).contains("egress rules of phone do not let it ask"))
        #expect(words(try answer(3, of: outer, ["a.test"])) == "there is no name a.test")
        #expect(words(try answer(3, of: outer, ["test.test", "0.0.0.0/0"])).contains("egress rules"))
        // A machine leads out of it, and is asked.
        var led = try routes.names(from: machines[outer], machines[outer].interfaces)
        led.destination.machine = machines[1]
        let told = #"{"sent_over":"p1","text":"x","answer_code":5,"addresses":[]}"#
        let refused = TraceNames(name: "a.test", route: led, sightings: TraceSightings([Array(told.utf8)]))
        #expect(
            words(refused.answer(isVersion6: false)).hasPrefix("web (10.7.0.1), which leads out of outer and is asked"))
        #expect(words(refused.answer(isVersion6: false)).hasSuffix("whom it asks itself is not known here"))
    }

    @Test func `where nobody answers for a name, who was asked is named, and not whose name it is`() throws {
        let route = try routes.names(from: machines[3], machines[3].interfaces)
        let trace = PacketTrace(
            transport: "tcp", from: .init(address: "10.7.0.2", port: nil, name: "phone"),
            to: .init(address: "", port: 443, name: "a.test"))
        let lines = [
            #"{"sent_over":"p1","text":"x","from_port":1,"tells_rules":true}"#,
            seen("question", try #require(route.source.network).fabricNetwork(nameServers: []).bridge, sent: false),
        ]
        let sightings = TraceSightings(lines.map { Array($0.utf8) })
        let places = TracePlaces(store.networks.list(), machines.map { ($0, $0.interfaces) }, [])
        let judged = TraceNames(name: "a.test", route: route, sightings: sightings)
            .unanswered(trace, TraceJudgement(route: route, sightings: sightings, places: places))
        #expect(judged.outcome == .unnamed && judged.to == trace.to && judged.transport == "tcp")
        #expect(
            judged.explanation
                == "a.test cannot be asked for: the name server of outer got the question and has not answered in time (--timeout); whom it asks itself may say nothing"
        )
    }

    @Test func `where it was last seen says who has lost it`() throws {
        let one = try port(0)
        let route = try route(to: "web")
        let appliance = TraceJudgement.Appliance(name: "filter", isFailing: true, failsOpen: false)
        let swallowed = judged(route, [seen("question", "t900", sent: true)]) {
            $0.appliances["t900"] = appliance
            $0.places.add(.appliance(name: "filter", end: "eth0"), device: "t900")
        }
        #expect(swallowed.outcome == .lost && swallowed.lastPlace == "filter:eth0")
        #expect(
            swallowed.explanation.hasPrefix("filter took it at its end there and did not let it out; it lets no probes")
        )
        let stranded = judged(route, [seen("question", "p\(one)", sent: true)])
        #expect(stranded.explanation == "lan has handed it to nobody")
        let outside = judged(try self.route(to: "192.0.2.1"), [seen("question", "up0", sent: true)]) {
            $0.hindrances = ["ip filter FORWARD"]
        }
        #expect(outside.lastPlace == "outside" && outside.explanation.contains("\"ip filter FORWARD\""))
        // An ordinary user's leads out by a program, and what is missing there is no rule.
        for (hindrances, words) in [([], "nothing has come back"), (["there is none"], "there is none")] {
            let users = judged(try self.route(to: "192.0.2.1"), [seen("question", "up0", sent: true)]) {
                $0.isUsers = true
                $0.hindrances = hindrances
            }
            #expect(
                users.explanation
                    == "it has left this fabric by /usr/bin/slirp4netns, and is not followed further; \(words)")
        }
        // How it goes on from there, as far as that is seen.
        let way = #"{"sent_over":"p1","text":"x","way_outside":{"device":"eth9","gateway":"192.0.2.9"}}"#
        let left = judged(
            try self.route(to: "192.0.2.1"),
            [
                way, seen("question", "up0", sent: true),
                seen("question", "swiftlet-up0", sent: false, more: #","is_outside":true"#),
                seen("question", "eth9", sent: true, more: #","is_outside":true"#),
            ])
        #expect(
            left.outcome == .lost && left.explanation == "it has left this computer by eth9, and nothing has come back")
        #expect(left.steps.suffix(3).map(\.place) == ["outside", "this computer", "this computer"])
        #expect(left.steps.suffix(2).map(\.words) == ["its route leads to 192.0.2.9 by eth9", "leaves it by eth9"])
        let kept = judged(try self.route(to: "192.0.2.1"), [way, seen("question", "up0", sent: true)])
        #expect(kept.explanation.contains("was not seen leaving this computer"))
        let nowhere = #"{"sent_over":"p1","text":"x","way_outside":{"error":"network is unreachable"}}"#
        let unrouted = judged(try self.route(to: "192.0.2.1"), [nowhere, seen("question", "up0", sent: true)])
        #expect(unrouted.explanation.contains("no route of this computer leads to 192.0.2.1"))
        let stretch = judged(route, [seen("question", "x\(one)", sent: true)])
        #expect(stretch.lastPlace == "client:eth0 (impaired)")
        #expect(stretch.explanation.contains("swiftlet impair client:eth0 shows what is so"))
        let unforwarded = judged(try self.route(to: "192.0.2.1"), [seen("question", "up0", sent: true)]) {
            $0.hindrances = ["net.ipv6.conf.all.forwarding"]
        }
        #expect(unforwarded.explanation.hasSuffix("on this computer net.ipv6.conf.all.forwarding is off"))
        let untaken = judged(route, []) { $0.appliances["p1"] = appliance }
        #expect(untaken.explanation.contains("nobody reads the end of filter"))
    }

    @Test func `what an appliance that routes does with it is said as that`() throws {
        var entry = LineEntry(
            machine: "r", name: "router", inside: 900, outside: 901, failsOpen: true, isBypassed: false)
        #expect(entry.nextHop(from: 900, .v4) == nil)
        entry.routing = LineEntry.Stations(inside: "02:00:00:00:00:01", outside: "02:00:00:00:00:02")
        #expect(entry.nextHop(from: 901, .v4) == RouterHops.gateways.inside)
        #expect(entry.nextHop(from: 900, .v6) == RouterHops.gateway6)
        let route = try route(to: "shop")
        func judged(_ lines: [String]) -> PacketTrace {
            self.judged(route, lines) {
                for (end, name) in [(UInt16(900), "eth0"), (901, "eth1")] {
                    $0.places.add(.appliance(name: "router", end: name), device: "t\(end)")
                    $0.appliances["t\(end)"] = TraceJudgement.Appliance(
                        name: "router", isFailing: false, failsOpen: true, nextHop: entry.nextHop(from: end, .v4))
                }
            }
        }
        let gets = seen("question", "t900", sent: true)
        let through = judged([gets, seen("question", "t901", sent: false)])
        #expect(through.steps.map(\.words).suffix(2) == ["gets it as tcp a > b", "routes it"])
        #expect(through.explanation == "router has let it out there, and it was seen nowhere behind")
        #expect(
            judged([gets]).explanation
                == "router took it at its end there and did not let it out; it takes a route to 10.8.0.2 by 169.254.84.1"
        )
        // It says so itself.
        let told = #","kind":3,"code":0"#
        let refused = judged([
            gets, seen("refused", "t900", sent: false, more: told),
            seen("refused", "t\(try port(0))", sent: true, more: told),
        ])
        #expect(refused.lastPlace == "router:eth0")
        #expect(refused.explanation == "router (10.9.0.1) says: no way leads to that network")
    }
}
