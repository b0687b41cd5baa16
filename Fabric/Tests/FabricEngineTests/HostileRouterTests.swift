import AgentProtocol
import FabricProtocol
import FabricRules
import Foundation
import LinuxCalls
import Testing

@testable import FabricEngine

/// A router between two networks that does whatever it likes, and links that somebody else takes away.
@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct HostileRouterTests {
    @Test func `what it sends in others' names arrives nowhere, and leads nobody beyond the two networks`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let between = try Between()
                defer { between.end() }
                let router = try Place.router(11, 12)
                var networks = between.engine.plan.networks
                for place in networks.indices { networks[place].reachesOutside = false }
                let third = network("third", 3, "10.9.3.0/24") {
                    $0.prefixes += [NetworkPrefix("fd00:9:3::/64")].compactMap { $0 }
                }
                try between.engine.put(FabricEngineTests.change(networks + [third]))
                try between.set([routing(11)])
                between.expect(true, true, carriedBy: router)
                // Of the network itself, of its own address, of a third one's machine and its own address.
                let sources = [
                    "10.9.1.7", "10.9.1.1", "10.9.3.2", "10.9.2.1", "fd00:9:1::7", "fd00:9:1::1", "fd00:9:3::2",
                    "fd00:9:2::1",
                ]
                for source in sources {
                    let target = source.contains(":") ? "fd00:9:1::2" : "10.9.1.2"
                    let heard = try between.machines[0].hears(source) {
                        try router.sends("datagram", 20, at: "eth0", to: FabricPort.upperStation(7), source, target)
                    }
                    #expect(heard == 0, "\(source)")
                }
                // What the other network sends is heard so.
                #expect(
                    try between.machines[0].hears("10.9.2.2") {
                        try router.sends(
                            "datagram", 20, at: "eth0", to: FabricPort.upperStation(7), "10.9.2.2", "10.9.1.2")
                    } > 0)
                // Who was sent something from elsewhere gets nothing there by answering.
                for (source, target) in [("192.0.2.9", "10.9.1.2"), ("2001:db8::9", "fd00:9:1::2")] {
                    let heard = try between.machines[0].hears(source) {
                        try router.sends("datagram", 20, at: "eth0", to: FabricPort.upperStation(7), source, target)
                    }
                    #expect(heard > 0, "\(source)")
                    let before = try packets(sentAt: "up0")
                    try between.machines[0].sends("datagram", 200, at: "eth0", to: between.gateway, target, source)
                    let sent = try packets(sentAt: "up0") - before
                    report("\(sent) answers to \(source) have left")
                    #expect(sent < 100)
                }
                // Nor gets it anywhere itself.
                for target in ["10.9.3.2", "10.9.1.1", "10.9.2.1", "10.9.3.1", "8.8.8.8"] {
                    let before = try packets(sentAt: "n3") + packets(sentAt: "up0")
                    try router.sends("datagram", 20, at: "eth0", to: FabricPort.upperStation(7), "10.9.2.2", target)
                    #expect(try packets(sentAt: "n3") + packets(sentAt: "up0") - before < 10, "\(target)")
                }
                between.expect(true, true, carriedBy: router)
            })
    }

    @Test func `it takes no more connections than a machine may have, whatever hardware addresses it makes up`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let between = try Between()
                defer { between.end() }
                let router = try Place.router(11, 12)
                try between.set([routing(11)])
                between.expect(true, true, carriedBy: router)
                let said = try router.sends(
                    "datagrams", 12000, at: "eth0", to: FabricPort.upperStation(7), "10.9.2.2", "10.9.1.2")
                let count = try connections()
                report("\(said), \(count) connections are known")
                #expect(count <= ConnectionRules.most + 100)
                // Others' are as before.
                #expect(between.machines[0].reaches("10.9.2.2"))
            })
    }

    @Test func `whatever it sends, the fabric keeps nobody's address for it and goes on`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let between = try Between()
                defer { between.end() }
                let router = try Place.router(11, 12)
                try between.set([routing(11)])
                between.expect(true, true, carriedBy: router)
                try between.machines[0].startPing("10.9.2.2", to: "/run/ping")
                for (end, station) in [("eth0", FabricPort.upperStation(7)), ("eth1", FabricPort.lowerStation(7))] {
                    try router.sends("asking", 4000, at: end, to: station)
                    for (source, target) in [
                        ("10.9.2.2", "10.9.1.2"), ("fd00:9:2::2", "fd00:9:1::2"), ("10.9.1.1", "10.9.1.1"),
                    ] {
                        report(try router.sends("odd", 4000, at: end, to: station, source, target))
                    }
                }
                try expectNoLoss()
                // Eight addresses of the link and one of IPv6, at each end.
                for link in ["t11", "t12"] {
                    let known = try run("/usr/sbin/ip", "neigh", "show", "dev", link).split(separator: "\n")
                    report("\(known.count) neighbours at \(link)")
                    #expect(known.count <= 9)
                }
                #expect(between.awaits { !$0.isFailing(routing(11)) })
                between.expect(true, true, carriedBy: router)
                let begin = Clock.monotonic.nanoseconds()
                try between.set([])
                report("taken out in \((Clock.monotonic.nanoseconds() - begin) / 1_000_000) ms")
            })
    }

    @Test(arguments: ["t11", "t7", "q7", "n1", "probes"])
    func `what somebody else takes away is put right by a repair, and does not hinder a change`(link: String) async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) { [link] in
                let between = try Between(reach: true)
                defer { between.end() }
                var router = try Place.router(11, 12)
                let bridge = try Place.bridge(21, 22)
                _ = bridge
                try between.set([routing(11)])
                between.expect(true, true, carriedBy: router)
                let isAppliances = link == "t11"
                try run("/usr/sbin/ip", "link", "del", link)
                between.engine.linkChanged(ByteString(link))
                if isAppliances {
                    // It fails open: the networks reach each other.
                    between.expect(true, true, carriedBy: nil)
                    router.remove()
                    router = try Place.router(11, 12)
                }
                try between.engine.put(between.engine.plan.asChange)
                if link == "n1" { try between.machines[0].shell("ip neigh flush all") }
                #expect(between.awaits { !$0.isFailing(routing(11)) })
                between.expect(true, true, carriedBy: router)
                // And once more, with a change instead.
                try run("/usr/sbin/ip", "link", "del", link)
                try between.set(isAppliances ? [] : [appliance("bridge", 21, patience: 1000)])
                if link != "n1" { between.expect(true, true, carriedBy: isAppliances ? nil : bridge) }
                try between.set([])
                try between.engine.put(between.engine.plan.asChange)
                between.expect(true, true, carriedBy: nil)
            })
    }

    @Test func `a router that goes with its ends leaves the networks as they are without it`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let between = try Between(reach: true)
                defer { between.end() }
                let router = try Place.router(11, 12)
                try between.set([routing(11)])
                between.expect(true, true, carriedBy: router)
                // As `rm --force` does: in one change.
                try between.engine.put(FabricEngineTests.change([], [between.port([])], without: [11, 12]))
                between.expect(true, true, carriedBy: nil)
                // Comes again by the same name, with other hardware addresses.
                router.remove()
                let new = try Place.router(11, 12)
                try between.set([routing(11)])
                between.expect(true, true, carriedBy: new)
                // And the wire with it.
                try between.engine.put(FabricEngineTests.change([], [], without: [11, 12, 7]))
                between.expect(true, true, carriedBy: nil)
                between.drain()
                #expect(between.engine.routerEnds.isEmpty)
            })
    }

    @Test func `networks change under it`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let between = try Between(reach: true)
                defer { between.end() }
                let router = try Place.router(11, 12)
                try between.set([routing(11)])
                between.expect(true, true, carriedBy: router)
                let plan = between.engine.plan
                // Another unit, on one of them.
                var inner = try #require(plan.network("inner"))
                inner.maximumTransmissionUnit = 9000
                try between.engine.put(FabricEngineTests.change([inner]))
                try between.machines[0].shell("ip link set eth0 mtu \(inner.maximumTransmissionUnit)")
                between.expect(true, true, carriedBy: router)
                try between.machines[0].shell("ping -qc 1 -W 2 -M dont -s 4000 10.9.2.2")
                inner.maximumTransmissionUnit = 1280
                try between.engine.put(FabricEngineTests.change([inner]))
                try between.machines[0].shell("ip link set eth0 mtu \(inner.maximumTransmissionUnit)")
                between.expect(true, true, carriedBy: router)
                try between.machines[0].shell("ping -qc 1 -W 2 -M dont -s 4000 10.9.2.2")
                // One family alone; and the other.
                for family in [IPAddress.Family.v4, .v6] {
                    var (networks, ports) = (
                        [plan.network("inner"), plan.network("outer")].compactMap { $0 },
                        [plan.port(1), plan.port(2)].compactMap { $0 }
                    )
                    for place in 0..<2 {
                        networks[place].prefixes.removeAll { $0.family != family }
                        ports[place].addresses.removeAll { $0.family != family }
                    }
                    try between.engine.put(FabricEngineTests.change(networks, ports))
                    #expect(between.awaits { !$0.isFailing(routing(11)) })
                    let (there, gone) = family == .v4 ? ("10.9.2.2", "fd00:9:2::2") : ("fd00:9:2::2", "10.9.2.2")
                    #expect((0..<5).contains { _ in between.machines[0].reaches(there) })
                    #expect(!between.machines[0].reaches(gone))
                }
                // None in common: nothing is led through it.
                var (networks, ports) = (
                    [plan.network("inner"), plan.network("outer")].compactMap { $0 },
                    [plan.port(1), plan.port(2)].compactMap { $0 }
                )
                networks[0].prefixes.removeAll { $0.family == .v4 }
                ports[0].addresses.removeAll { $0.family == .v4 }
                networks[1].prefixes.removeAll { $0.family == .v6 }
                ports[1].addresses.removeAll { $0.family == .v6 }
                try between.engine.put(FabricEngineTests.change(networks, ports))
                pause(300)
                _ = between.awaits(attempts: 200) { $0.isFailing(routing(11)) }
                report("failing without a common family: \(between.engine.isFailing(routing(11)))")
                try between.engine.put(plan.asChange)
                #expect(between.awaits { !$0.isFailing(routing(11)) })
                between.expect(true, true, carriedBy: router)
                // A network that goes while the wire is there is refused, and nothing has changed.
                do throws(FabricFault) {
                    try between.engine.apply(FabricEngineTests.change(without: [2], withoutNetworks: ["outer"]))
                    Issue.record("the network went")
                } catch { report("\(error)") }
                between.expect(true, true, carriedBy: router)
            })
    }
}

extension Between {
    /// The hardware address of the inner network's own end.
    var gateway: [UInt8] { engine.plan.network("inner")?.hardwareAddress ?? [] }
}

extension Place {
    /// What `stranger.py` says of frames that it sends from here.
    @discardableResult
    func sends(
        _ kind: String, _ count: Int, at link: String, to station: [UInt8], _ addresses: String...
    ) throws -> String {
        try stranger("frames", link, HardwareAddress.text(station), "\(count)", kind, addresses.joined(separator: " "))
    }

    /// How many packets with that source arrive here meanwhile.
    func hears(_ source: String, while body: () throws -> Void) throws -> Int {
        let file = "/run/heard"
        try? FileManager.default.removeItem(atPath: file)
        _ = try shell("python3 \(Self.strangerPath) hear eth0 0.7 \(source) > \(file) 2>&1 &")
        for _ in 0..<500 where ((try? String(contentsOfFile: file, encoding: .utf8)) ?? "").isEmpty { pause(10) }
        try body()
        var lines: [Substring] = []
        for _ in 0..<500 where lines.count < 2 {
            pause(20)
            lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n")
        }
        return lines.count > 1 ? Int(lines[1]) ?? -1 : -1
    }

    private static var strangerPath: String {
        URL(filePath: #filePath).deletingLastPathComponent().appending(path: "stranger.py").path
    }

    private func stranger(_ arguments: String...) throws -> String {
        try shell("python3 \(Self.strangerPath) \(arguments.joined(separator: " "))")
    }
}

/// Frames that have gone out at one of the fabric's links.
private func packets(sentAt link: String) throws -> Int {
    Int(
        try String(contentsOfFile: "/proc/thread-self/net/dev", encoding: .utf8)
            .split(separator: "\n").first { $0.contains("\(link):") }?
            .split { $0 == " " || $0 == ":" }[10] ?? "0") ?? 0
}

private func connections() throws -> Int {
    Int(
        try String(contentsOfFile: "/proc/sys/net/netfilter/nf_conntrack_count", encoding: .utf8)
            .trimmingCharacters(in: .newlines)) ?? -1
}
