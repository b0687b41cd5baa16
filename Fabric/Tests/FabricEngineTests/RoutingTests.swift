import AgentProtocol
import FabricProtocol
import Foundation
import LinuxCalls
import Testing

@testable import FabricEngine

/// Appliances between two networks that route: a namespace in the place of each machine and of the router, which is Linux.
@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct RoutingTests {
    @Test func `between two networks all goes through the router, and nothing without it`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let between = try Between()
                defer { between.end() }
                let router = try Place.router(11, 12)
                between.expect(false, false, carriedBy: router)
                try between.set([routing(11)])
                between.expect(true, true, carriedBy: router)
                // Whoever is there knows that a router is on the way: the fabric, the router, and the fabric again.
                let hop = try between.machines[0].shell("ping -nc 1 -W 2 -t 2 10.9.2.2 || true")
                #expect(hop.lowercased().contains("from 169.254.83.2") && hop.lowercased().contains("time to live"))
                let answer = try between.machines[0].shell("ping -qc 1 -W 2 -t 3 10.9.2.2 || echo too far")
                #expect(answer.contains("too far"))
                try between.machines[0].shell("ping -qc 1 -W 2 -t 4 10.9.2.2")
                var bypassed = routing(11)
                bypassed.isBypassed = true
                try between.set([bypassed])
                between.expect(false, false, carriedBy: router)
                try between.set([routing(11)])
                between.expect(true, true, carriedBy: router)
                // Whole, as `network repair` asks for it.
                try between.engine.put(between.engine.plan.asChange)
                between.expect(true, true, carriedBy: router)
                try between.set([])
                between.expect(false, false, carriedBy: router)
            })
    }

    @Test func `a router is ready before there is anything between its networks`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let between = try Between()
                defer { between.end() }
                let router = try Place.router(11, 12)
                try between.engine.put(change(without: [7]))
                try router.shell("ip link set eth0 down")
                let candidacy = try between.engine.makeCandidates(for: between.change([routing(11)]))
                for _ in 0..<20 {
                    #expect(between.engine.fault(of: candidacy) != nil)
                    pause(10)
                }
                try router.shell(
                    "ip link set eth0 up; ip address replace 169.254.83.2/24 dev eth0; ip route replace 10.9.1.0/24 via 169.254.83.1"
                )
                try soon { between.engine.fault(of: candidacy) == nil }
                between.expect(false, false, carriedBy: router)
                between.engine.letGo(candidacy, isReady: true)
                try between.set([routing(11)])
                between.expect(true, true, carriedBy: router)
            })
    }

    @Test func `its next hops answer who it is, and the fabric lets it at nothing else`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let between = try Between()
                defer { between.end() }
                let router = try Place.router(11, 12)
                try between.set([routing(11)])
                func known(_ hop: String) throws -> String {
                    try router.shell("ip neigh flush all; ping -qc 1 -W 1 \(hop) || true")
                    return try router.shell("ip neigh show to \(hop.split(separator: "%")[0])")
                }
                #expect(try known("169.254.83.1").contains("lladdr 02:53:77:01:00:07"))
                #expect(try known("169.254.84.1").contains("lladdr 02:53:77:02:00:07"))
                #expect(try known("fe80::1%eth0").contains("lladdr 02:53:77:01:00:07"))
                for address in ["169.254.83.1", "169.254.84.1", "fe80::1%eth0", "10.9.1.1", "10.9.2.1", "fd00:9:1::1"] {
                    #expect(!router.reaches(address), "\(address)")
                }
                // Nobody else is answered: each that asks would be kept in the kernel's table.
                try router.shell(
                    "ip address del 169.254.83.2/24 dev eth0; ip address add 169.254.83.9/24 dev eth0")
                #expect(try !known("169.254.83.1").contains("lladdr"))
                #expect(try run("/usr/sbin/ip", "neigh", "show", "dev", "t11").split(separator: "\n").count <= 2)
                // When it is taken out, it finds nobody there.
                try between.set([])
                between.drain()
                try router.shell("ip neigh flush all")
                #expect(try !known("169.254.84.1").contains("lladdr"))
                #expect(try !run("/usr/sbin/ip", "address", "show", "dev", "t12").contains("inet"))
            })
    }

    @Test func `no packet is lost when it comes, is passed by, beside bridges, swapped, and goes`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let between = try Between(reach: true)
                defer { between.end() }
                let appliances = [
                    try Place.router(11, 12), try Place.bridge(21, 22), try Place.router(31, 32, named: "new"),
                ]
                let (router, bridge, new) = (routing(11), appliance("bridge", 21, patience: 1000), routing(31))
                between.expect(true, true, carriedBy: nil)
                var bypassed = router
                bypassed.isBypassed = true
                let steps: [[InlineAppliance]] = [
                    [router], [bypassed], [router], [new], [bridge, new], [bridge], [bridge, router], [router],
                    [router, bridge], [bypassed, bridge], [bridge, router], [new, bridge], [bridge], [],
                ]
                let before = appliances.map(\.received)
                for address in ["10.9.2.2", "fd00:9:2::2"] {
                    try between.machines[0].startPing(address, to: "/run/ping")
                    for step in steps {
                        try between.set(step)
                        pause(60)
                    }
                    try expectNoLoss()
                }
                for (place, was) in zip(appliances, before) { #expect(place.received > was + 100) }
                // Nothing of former ways is left: all goes through whatever is there.
                for step in steps {
                    try between.set(step)
                    let used = step.filter { !$0.isBypassed }.map { [11: 0, 21: 1, 31: 2][$0.inside, default: 0] }
                    for place in appliances.indices {
                        between.expect(true, true, carriedBy: appliances[place], isUsed: used.contains(place))
                    }
                }
            })
    }

    @Test func `no packet is lost when one comes before or behind another, and goes`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let between = try Between(reach: true)
                defer { between.end() }
                let appliances = [
                    try Place.router(11, 12), try Place.bridge(21, 22), try Place.router(31, 32, named: "new"),
                ]
                let (router, bridge, new) = (routing(11), appliance("bridge", 21, patience: 1000), routing(31))
                var bypassed = router
                bypassed.isBypassed = true
                let steps: [[InlineAppliance]] = [
                    [router], [router, new], [router], [new, router], [new, bypassed], [new, router], [new],
                    [router, new],
                    [router, bridge, new], [new], [router, new, bridge], [router, bridge], [new, bridge, router], [],
                ]
                for address in ["10.9.2.2", "fd00:9:2::2"] {
                    try between.machines[0].startPing(address, to: "/run/ping")
                    for step in steps {
                        try between.set(step)
                        pause(60)
                    }
                    try expectNoLoss()
                }
                // Also where two have changed places.
                for step in [[new, router], [router, new], [router], [new, bridge, router], [new, bypassed]] {
                    try between.set(step)
                    let used = step.filter { !$0.isBypassed }.map { [11: 0, 21: 1, 31: 2][$0.inside, default: 0] }
                    for place in appliances.indices {
                        between.expect(true, true, carriedBy: appliances[place], isUsed: used.contains(place))
                    }
                }
            })
    }

    @Test func `of two in a row the one that fails is gone around, and its former way ends`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let between = try Between()
                defer { between.end() }
                let routers = [try Place.router(11, 12), try Place.router(31, 32, named: "new", own: [85, 86])]
                let line = [routing(11, patience: 200), routing(31, patience: 200)]
                try between.set(line)
                for router in routers { between.expect(true, true, carriedBy: router) }
                // The fabric, both of them, and the fabric again. What the second one says gets through the first.
                for (hop, own) in [(2, "169.254.83.2"), (3, "169.254.85.2")] {
                    let said = try between.machines[0].shell("ping -nc 1 -W 2 -t \(hop) 10.9.2.2 || true")
                    #expect(said.lowercased().contains("from \(own)"), "\(said)")
                }
                let tooFar = try between.machines[0].shell("ping -qc 1 -W 2 -t 4 10.9.2.2 || echo too far")
                #expect(tooFar.contains("too far"))
                try between.machines[0].shell("ping -qc 1 -W 2 -t 5 10.9.2.2")
                for (place, other) in [(0, 1), (1, 0)] {
                    try routers[place].shell("echo 0 > /proc/sys/net/ipv4/ip_forward")
                    #expect(between.awaits { $0.isFailing(line[place]) && !$0.isFailing(line[other]) })
                    between.expect(true, true, carriedBy: routers[other])
                    between.expect(true, true, carriedBy: routers[place], isUsed: false)
                    #expect(!between.engine.turnedEnds.isEmpty)
                    #expect(between.awaits { $0.remindRouters() == nil })
                    let end = other == 0 ? "t12" : "t31"
                    #expect(try !run("/usr/sbin/tc", "filter", "show", "dev", end, "ingress").contains("fh 800::10 "))
                    between.expect(true, true, carriedBy: routers[other])
                    try routers[place].shell("echo 1 > /proc/sys/net/ipv4/ip_forward")
                    #expect(between.awaits { !$0.isFailing(line[place]) })
                    for router in routers { between.expect(true, true, carriedBy: router) }
                    #expect(try run("/usr/sbin/tc", "filter", "show", "dev", end, "ingress").contains("fh 800::10 "))
                }
            })
    }

    @Test func `an engine that begins again goes on with it, and no packet is lost`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let between = try Between()
                let router = try Place.router(11, 12)
                try between.set([routing(11)])
                between.expect(true, true, carriedBy: router)
                between.end()
                try between.machines[0].startPing("10.9.2.2", to: "/run/ping")
                pause(200)
                let second = try Engine(between.folder)
                defer { second.nameServers.endAll() }
                try second.resume()
                #expect(between.awaits(second) { $0.line(of: between.port([routing(11)])).count == 1 })
                try expectNoLoss()
                #expect(!second.isFailing(routing(11)) && second.routerEnds.count == 2)
                // It takes away what the other one has made.
                try second.put(between.change([]))
                between.expect(false, false, carriedBy: router)
                pause(1100)
                _ = second.closeDrained()
                #expect(second.routerEnds.isEmpty)
                #expect(try !run("/usr/sbin/ip", "address", "show", "dev", "t12").contains("inet"))
            })
    }

    @Test func `one that does not route any more is gone around, or stops what comes, until it does`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let between = try Between(reach: true)
                defer { between.end() }
                let router = try Place.router(11, 12)
                for failsOpen in [true, false] {
                    try between.set([routing(11, failsOpen: failsOpen, patience: 200)])
                    between.expect(true, true, carriedBy: router)
                    let ways: [(fails: String, goesOn: String)] = [
                        ("echo 0 > /proc/sys/net/ipv4/ip_forward", "echo 1 > /proc/sys/net/ipv4/ip_forward"),
                        ("ip link set eth1 down", "ip link set eth1 up; ip route replace 10.9.2.0/24 via 169.254.84.1"),
                    ]
                    for way in ways {
                        // While nobody looked, it was not probed.
                        #expect(between.awaits { !$0.isFailing(routing(11, failsOpen: failsOpen, patience: 200)) })
                        let begin = Clock.monotonic.nanoseconds()
                        try router.shell(way.fails)
                        #expect(between.awaits { $0.isFailing(routing(11, failsOpen: failsOpen, patience: 200)) })
                        let failed = (Clock.monotonic.nanoseconds() - begin) / 1_000_000
                        report("\(way.fails): noticed after \(failed) ms")
                        // The promise is its patience; a busy computer is allowed more.
                        #expect(failed < 3000)
                        // And not for once.
                        #expect(
                            !between.awaits(attempts: 200) {
                                !$0.isFailing(routing(11, failsOpen: failsOpen, patience: 200))
                            })
                        between.expect(failsOpen, failsOpen, carriedBy: failsOpen ? router : nil, isUsed: false)
                        try router.shell(way.goesOn)
                        #expect(between.awaits { !$0.isFailing(routing(11, failsOpen: failsOpen, patience: 200)) })
                        between.expect(true, true, carriedBy: router)
                    }
                }
            })
    }

    @Test func `one that does not route is not put in, and a strict one needs no more than probes let pass`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let between = try Between(reach: true)
                defer { between.end() }
                let router = try Place.router(11, 12)
                // What is refused does not take the ends with it.
                try between.set([])
                func refuses() -> Bool {
                    do throws(FabricFault) {
                        try between.engine.apply(between.change([routing(11)]))
                        return false
                    } catch {
                        report("\(error)")
                        return error.description.contains("does not route from 10.9.1.1 to 10.9.2.1 and back")
                    }
                }
                try router.shell("ip route del 10.9.2.0/24")
                #expect(refuses())
                between.expect(true, true, carriedBy: nil)
                try router.shell("ip route add 10.9.2.0/24 via 169.254.84.1")
                try router.shell(
                    """
                    /usr/sbin/nft 'table ip wall { chain forward { type filter hook forward priority 0; policy drop;
                        ct state established,related accept; icmp type echo-request accept; }; }'
                    """)
                #expect(refuses())
                // Whoever sends none believes it.
                try between.set([routing(11, patience: nil)])
                between.expect(true, true, carriedBy: router)
                try between.set([])
                try router.shell("/usr/sbin/nft add rule ip wall forward udp dport 21335 accept")
                try between.set([routing(11)])
                between.expect(true, true, carriedBy: router)
            })
    }
}
