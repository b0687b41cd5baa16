import AgentProtocol
import FabricProtocol
import Testing

private func network(_ name: String, _ number: UInt16, _ prefixes: String...) -> FabricNetwork {
    FabricNetwork(name: name, number: number, prefixes: prefixes.compactMap { NetworkPrefix($0) })
}

private func port(_ number: UInt16, _ network: String?, _ addresses: String...) -> FabricPort {
    FabricPort(
        number: number, network: network,
        hardwareAddress: [2, 0, 0, 0, UInt8(number >> 8), UInt8(truncatingIfNeeded: number)],
        addresses: addresses.compactMap { IPAddress($0) })
}

private func change(_ networks: [FabricNetwork], _ ports: [FabricPort] = []) -> FabricChange {
    var change = FabricChange()
    change.networks = networks
    change.ports = ports
    return change
}

/// Two networks, a machine in each, and two ends of an appliance.
private func plan() throws -> FabricPlan {
    try FabricPlan().after(
        change(
            [network("a", 1, "10.1.0.0/24", "fd01::/64"), network("b", 2, "10.2.0.0/24")],
            [port(1, "a", "10.1.0.5", "fd01::5"), port(2, "b", "10.2.0.5"), port(3, nil), port(4, nil)]))
}

private let nothing = FabricPlan()

private func fault(_ plan: FabricPlan, _ change: FabricChange) -> String? {
    do throws(FabricFault) {
        _ = try plan.after(change)
        return nil
    } catch { return error.description }
}

@Suite struct PlanTests {
    @Test func `a change puts, replaces and removes, and leaves the rest`() throws {
        let before = try plan()
        var next = change([network("c", 3)], [port(5, "c")])
        var other = network("b", 2, "10.2.0.0/24")
        other.reachableNetworks = ["a"]
        next.networks.append(other)
        next.removedPorts = [3, 77]
        next.removedNetworks = ["nobody"]
        let after = try before.after(next)
        #expect(after.networks.map { $0.name } == ["a", "b", "c"])
        #expect(after.network("b") == other)
        #expect(after.network("a") == before.network("a"))
        #expect(after.ports.map { $0.number } == [1, 2, 4, 5])
        #expect(try after.after(next) == after)
        #expect(try before.after(FabricChange()) == before)
    }

    @Test func `a machine finds the names of networks that give some, and those are what it is in`() throws {
        func told(_ networks: [String], in network: String? = "a") -> FabricPort {
            var port = port(1, network)
            port.nameNetworks = networks
            return port
        }
        let before = try plan()
        let changed = try before.after(change([], [told(["b", "a"])]))
        #expect(changed.ports.map { changed.nameView(of: $0)?.networks } == [["b", "a"], nil, nil, nil])
        for (port, reason) in [
            (told(["b"]), "port 1 is to find the names of other networks than those that it is in"),
            (told(["a", "a"]), "port 1 is to find the names of other networks than those that it is in"),
            (told(["a", "c"]), "there is no network c, whose names port 1 is to find"),
            (told(["a", "b"], in: nil), "port 1 is in no network, and has addresses, rules or a wire"),
        ] { #expect(fault(before, change([], [port])) == reason) }
        // Where a machine leads out, and where nobody has an address, the fabric knows no names.
        var led = network("led", 3, "10.1.0.0/24")
        led.gateways = []
        led.reachesOutside = false
        let all = try before.after(change([led, network("bare", 4)], [told(["led", "a", "bare"])]))
        #expect(all.ports.allSatisfy { all.nameView(of: $0) == nil })
        // What is reached is what the network itself reaches, and not from there on.
        var (one, other) = (network("a", 1, "10.1.0.0/24", "fd01::/64"), network("b", 2, "10.2.0.0/24"))
        one.reachableNetworks = ["b"]
        other.reachableNetworks = ["c"]
        let chain = try before.after(change([one, other, network("c", 3, "10.3.0.0/24")]))
        #expect(chain.namesReached(from: ["a"]) == ["b"] && chain.namesReached(from: ["a", "b"]) == ["c"])
    }

    @Test func `so many different sets of networks have their names, and no more`() throws {
        let names = (0..<33).map { "n\($0)" }
        let networks = names.enumerated().map { network($1, UInt16($0 + 1), "10.\($0).0.0/16") }
        var ports: [FabricPort] = []
        for first in names.indices {
            for second in names.indices where first != second && ports.count <= FabricPlan.mostNameViews {
                let number = UInt16(ports.count + 1)
                var port = port(number, names[first])
                port.nameNetworks = [names[first], names[second]]
                ports.append(port)
            }
        }
        let most = try nothing.after(change(networks, Array(ports.dropLast())))
        #expect(
            fault(most, change([], [ports[FabricPlan.mostNameViews]]))
                == "the machines of a fabric find the names of at most 512 different sets of networks")
        // One more of a set that there is.
        var same = ports[FabricPlan.mostNameViews]
        same.network = ports[0].network
        same.nameNetworks = ports[0].nameNetworks
        _ = try most.after(change([], [same]))
    }

    @Test func `two networks are joined once, by what is no machine, and no longer than there are both`() throws {
        func passage(_ number: UInt16, _ one: String?, _ other: String, _ addresses: String...) -> FabricPort {
            var passage = port(number, other)
            passage.joined = one
            passage.addresses = addresses.compactMap { IPAddress($0) }
            return passage
        }
        let joined = try plan().after(change([], [passage(7, "a", "b")]))
        #expect(joined.port(7)?.isMachine == false)
        #expect(try FabricPlan().after(joined.asChange) == joined)
        #expect(fault(joined, change([], [passage(8, "b", "a")]))?.contains("both join") == true)
        for wrong in [passage(8, "c", "a"), passage(8, "a", "a"), passage(8, "a", "b", "10.2.0.9")] {
            #expect(fault(try plan(), change([], [wrong])) != nil)
        }
        var end = port(8, nil)
        end.joined = "a"
        #expect(fault(try plan(), change([], [end])) != nil)
        var gone = FabricChange()
        gone.removedPorts = [1]
        gone.removedNetworks = ["a"]
        #expect(fault(joined, gone) != nil)
        let after = try joined.after(joined.completing(gone))
        #expect(after.port(7) == nil && after.port(2) != nil)
        // One that has appliances is not forgotten by the way.
        var inUse = joined
        var wall = passage(7, "a", "b")
        wall.line = [InlineAppliance(name: "wall", inside: 3, outside: 4)]
        inUse = try inUse.after(change([], [wall]))
        #expect(fault(inUse, inUse.completing(gone)) != nil)
    }

    @Test func `appliances between networks may route, and none in a machine's wire`() throws {
        func routing(_ inside: UInt16, _ station: [UInt8] = [2, 0, 0, 0, 1, 1]) -> InlineAppliance {
            InlineAppliance(
                name: "wall", inside: inside, outside: inside + 1,
                routing: InlineAppliance.Stations(inside: station, outside: [2, 0, 0, 0, 1, 2]))
        }
        func passage(_ line: InlineAppliance...) -> FabricPort {
            var passage = port(7, "b")
            passage.joined = "a"
            passage.line = line
            return passage
        }
        let before = try plan().after(change([], [port(8, nil), port(9, nil)]))
        let routed = try before.after(change([], [passage(routing(3))]))
        #expect(try FabricPlan().after(routed.asChange) == routed)
        let bridge = InlineAppliance(name: "bridge", inside: 8, outside: 9)
        #expect(fault(before, change([], [passage(routing(3), bridge)])) == nil)
        let twice = try #require(fault(before, change([], [passage(routing(3), routing(8))])))
        #expect(twice.contains("somebody in the wire"))
        var second = routing(8, [2, 0, 0, 0, 2, 1])
        second.routing?.outside = [2, 0, 0, 0, 2, 2]
        #expect(fault(before, change([], [passage(routing(3), second)])) == nil)
        var machine = port(1, "a", "10.1.0.5")
        machine.line = [routing(3)]
        #expect(try #require(fault(before, change([], [machine]))).contains("a machine's place"))
        var shadowed = routing(3)
        shadowed.shadow = InlineAppliance.Shadow(inside: 8, outside: 9)
        #expect(try #require(fault(before, change([], [passage(shadowed)]))).contains("nobody else takes"))
        for station in [FabricPort.upperStation(7), FabricPort.lowerStation(7)] {
            let refusal = fault(before, change([], [passage(routing(3, station))]))
            #expect(try #require(refusal).contains("somebody in the wire"))
        }
        // With other hardware addresses it is another one.
        let other = change([], [passage(routing(3, [2, 0, 0, 0, 1, 3]))])
        let difference = PlanDifference(from: routed, to: try routed.after(other), other, makesAll: false)
        #expect(difference.ports.map { $0.number } == [7])
    }

    @Test func `the wire of a machine may be impaired, or one between networks, and no other`() throws {
        var machine = port(1, "a", "10.1.0.5")
        machine.impairment = Impairment()
        machine.impairment?.toNetwork.delayMicroseconds = 80_000
        machine.impairment?.toMachine.lossMillipercent = 100_000
        let impaired = try plan().after(change([], [machine]))
        #expect(impaired.port(1)?.impairment == machine.impairment)
        #expect(try FabricPlan().after(impaired.asChange) == impaired)
        var difference = PlanDifference(from: try plan(), to: impaired, change([], [machine]), makesAll: false)
        #expect(difference.ports.map { $0.number } == [1])
        difference = PlanDifference(from: impaired, to: impaired, change([], [machine]), makesAll: false)
        #expect(difference.ports.isEmpty)
        var passage = port(7, "b")
        passage.joined = "a"
        passage.impairment = machine.impairment
        let between = try plan().after(change([], [passage]))
        #expect(between.port(7)?.impairment == machine.impairment)
        #expect(try FabricPlan().after(between.asChange) == between)
        var wrong = port(3, nil)
        wrong.impairment = Impairment()
        #expect(try #require(fault(plan(), change([], [wrong]))).contains("can be impaired"))
    }

    @Test func `a change that is whole leaves nothing else`() throws {
        var next = change([network("c", 1, "10.1.0.0/24")])
        next.isWhole = true
        let after = try plan().after(next)
        #expect(after.networks == next.networks)
        #expect(after.ports.isEmpty)
        var end = FabricChange()
        end.isWhole = true
        #expect(try plan().after(end) == FabricPlan())
    }

    @Test func `what is removed and put in one change is there`() throws {
        var next = change([network("b", 9, "10.1.0.0/24")], [port(1, "b", "10.1.0.7")])
        next.removedNetworks = ["a", "b"]
        next.removedPorts = [1, 2]
        let after = try plan().after(next)
        #expect(after.networks == next.networks)
        #expect(after.port(1) == next.ports.first)
    }

    @Test func `a network that is still needed cannot be removed`() throws {
        var next = FabricChange()
        next.removedNetworks = ["b"]
        #expect(try #require(fault(plan(), next)).contains("no network b"))
        next.removedPorts = [2]
        #expect(try fault(plan(), next) == nil)
        var a = network("a", 1, "10.1.0.0/24", "fd01::/64")
        a.reachableNetworks = ["b"]
        next.networks = [a]
        #expect(try #require(fault(plan(), next)).contains("there is no such network"))
    }

    @Test func `networks have numbers and addresses of their own`() throws {
        #expect(try #require(fault(plan(), change([network("c", 2)]))).contains("have one number"))
        for prefix in ["10.1.0.0/24", "10.0.0.0/8", "10.1.0.128/25", "0.0.0.0/0", "fd01::/120"] {
            #expect(try #require(fault(plan(), change([network("c", 3, prefix)]))).contains("overlaps"), "\(prefix)")
        }
        #expect(try fault(plan(), change([network("c", 3, "10.3.0.0/24", "fd01:0:0:1::/64")])) == nil)
    }

    @Test(arguments: ["10.1.1.5", "10.2.0.5", "fd01:0:0:1::5"])
    func `a machine has addresses of its network`(address: String) throws {
        #expect(try #require(fault(plan(), change([], [port(9, "a", address)]))).contains("none of the addresses of a"))
    }

    @Test(arguments: ["10.1.0.0", "10.1.0.1", "10.1.0.255", "fd01::", "fd01::1"])
    func `the network's own address is no machine's`(address: String) throws {
        #expect(try #require(fault(plan(), change([], [port(9, "a", address)]))).contains("the own address of a"))
    }

    @Test func `a machine may lead out of a network, and has the address for that alone`() throws {
        func led(_ number: UInt16, _ gateways: String...) -> FabricNetwork {
            var led = network("c\(number)", number, "10.1.0.0/24", "fd01::/64")
            led.reachesOutside = false
            led.gateways = gateways.compactMap { IPAddress($0) }
            return led
        }
        // Its addresses may be those of other networks, and of networks that machines lead out of as well.
        let networks = [led(3, "10.1.0.254", "fd01::1"), led(4)]
        let machines = [
            port(5, "c3", "10.1.0.254", "fd01::1"), port(6, "c3", "10.1.0.1"), port(7, "c4", "10.1.0.254", "10.1.0.5"),
        ]
        let present = try plan().after(change(networks, machines))
        #expect(networks[0].prefixes(ledBy: machines[0]).count == 2 && networks[0].prefixes(ledBy: machines[1]).isEmpty)
        #expect(networks[1].prefixes(ledBy: machines[2]).isEmpty && networks[0].ownAddresses.isEmpty)
        #expect(try #require(fault(present, change([], [port(8, "c3", "10.1.0.254")]))).contains("ports 5 and 8"))
        for address in ["10.1.1.1", "10.1.0.0", "10.1.0.255", "fd02::1", "fd01::"] {
            #expect(
                try #require(fault(present, change([led(9, address)]))).contains("cannot be the gateway"), "\(address)")
        }
        #expect(fault(present, change([led(9, "10.1.0.1", "10.1.0.2")])) != nil)
        // The fabric does not get there.
        var reaching = network("d", 9)
        reaching.reachableNetworks = ["c3"]
        #expect(try #require(fault(present, change([reaching]))).contains("which a machine leads to"))
        for change in [
            { $0.reachesOutside = true }, { $0.reachableNetworks = ["b"] },
            { $0.nameServers = [IPAddress(v4: 9, 9, 9, 9)] },
        ] as [(inout FabricNetwork) -> Void] {
            var wrong = led(3)
            change(&wrong)
            #expect(try #require(fault(present, Self.put(wrong))).contains("what its gateway lets it reach"))
        }
        var published = port(6, "c3", "10.1.0.1")
        published.published = [PublishedPort(.tcp, 80...80, to: 80)].compactMap { $0 }
        #expect(try #require(fault(present, change([], [published]))).contains("whose gateway is a machine"))
        // When it is the fabric again, what it has is nobody's.
        var own = network("c3", 3, "10.3.0.0/24")
        own.gateways = nil
        #expect(
            try #require(fault(present, change([own], [port(5, "c3", "10.3.0.1"), port(6, "c3")]))).contains(
                "own address"))
    }

    private static func put(_ network: FabricNetwork) -> FabricChange { change([network]) }

    @Test func `an address leads to one machine`() throws {
        #expect(try #require(fault(plan(), change([], [port(9, "a", "10.1.0.5")]))).contains("ports 1 and 9"))
        #expect(
            try #require(fault(plan(), change([], [port(9, "a", "10.1.0.6", "10.1.0.6")]))).contains("ports 9 and 9"))
        // It may go from one to another at once.
        #expect(try fault(plan(), change([], [port(1, "a"), port(9, "a", "10.1.0.5")])) == nil)
    }

    @Test func `a port is in a network that is there, or has nothing of one`() throws {
        #expect(try #require(fault(plan(), change([], [port(9, "c")]))).contains("no network c"))
        #expect(try #require(fault(plan(), change([], [port(9, nil, "10.1.0.9")]))).contains("in no network"))
        var wired = port(9, nil)
        wired.line = [InlineAppliance(name: "w", inside: 3, outside: 4)]
        #expect(try #require(fault(plan(), change([], [wired]))).contains("in no network"))
    }

    @Test(arguments: [(3, 9, "port 9,"), (9, 4, "port 9,"), (3, 2, "port 2,"), (3, 3, "in two wires")])
    func `an appliance's ends are ports of its own`(inside: UInt16, outside: UInt16, words: String) throws {
        var wired = port(1, "a", "10.1.0.5")
        wired.line = [InlineAppliance(name: "w", inside: inside, outside: outside)]
        #expect(try #require(fault(plan(), change([], [wired]))).contains(words))
    }

    @Test(arguments: [([9], "port 9,"), ([2], "port 2,"), ([3, 3], "in two wires"), ([4], "in two wires")])
    func `who looks at a wire has an end of its own`(mirrors: [UInt16], words: String) throws {
        var wired = port(1, "a", "10.1.0.5")
        wired.line = [InlineAppliance(name: "w", inside: 4, outside: 5)]
        wired.mirrors = mirrors
        #expect(try #require(fault(plan(), change([], [wired, port(5, nil)]))).contains(words))
        wired.mirrors = [3]
        #expect(try fault(plan(), change([], [wired, port(5, nil)])) == nil)
        var end = port(3, nil)
        end.mirrors = [4]
        #expect(try #require(fault(plan(), change([], [end]))).contains("in no network"))
    }

    @Test func `an appliance is in one wire`() throws {
        var (one, other) = (port(1, "a"), port(2, "b"))
        one.line = [InlineAppliance(name: "w", inside: 3, outside: 4)]
        let wired = try plan().after(change([], [one]))
        other.line = [InlineAppliance(name: "v", inside: 4, outside: 3, isBypassed: true)]
        #expect(try #require(fault(wired, change([], [other]))).contains("in two wires"))
        // While it is there, its ends cannot go.
        var next = FabricChange()
        next.removedPorts = [4]
        #expect(try #require(fault(wired, next)).contains("no end for wires"))
        one.line = []
        #expect(fault(wired, change([], [one, other])) == nil)
    }

    @Test func `a fabric has a bounded number of networks and ports`() throws {
        let networks = (1...UInt16(1024)).map { network("n\($0)", $0) }
        #expect(fault(nothing, change(networks)) == nil)
        #expect(try #require(fault(nothing, change(networks + [network("m", 2000)]))).contains("at most 1024"))
        let ports = (1...UInt16(4096)).map { port($0, nil) }
        #expect(fault(nothing, change([], ports)) == nil)
        #expect(try #require(fault(nothing, change([], ports + [port(5000, nil)]))).contains("at most"))
    }

    @Test func `a plan that could not be read again is refused`() throws {
        let name = String(repeating: "a", count: 63)
        let ports = (1...UInt16(2000)).map { number in
            var port = port(number, "a")
            port.names = [String](repeating: name, count: 16)
            return port
        }
        #expect(try #require(fault(nothing, change([network("a", 1)], ports))).contains("longer than"))
    }

    @Test(
        arguments: [
            // What the first machine has, what the second one wants, and whether it may.
            (nil, 80, 80, nil, 80, 80, false), (nil, 80, 90, nil, 90, 95, false), (nil, 80, 90, nil, 91, 95, true),
            ("10.0.0.1", 80, 80, nil, 80, 80, false), (nil, 80, 80, "10.0.0.1", 80, 80, false),
            ("10.0.0.1", 80, 80, "10.0.0.2", 80, 80, true), ("10.0.0.1", 80, 80, "10.0.0.1", 80, 80, false),
            ("0.0.0.0", 80, 80, "10.0.0.1", 80, 80, false), ("0.0.0.0", 80, 80, "::", 80, 80, true),
            ("::", 80, 80, "::1", 80, 80, false), (nil, 80, 80, "::1", 80, 80, false),
            ("::1", 80, 80, "10.0.0.1", 80, 80, true), ("::1", 80, 80, "2001:db8::1", 80, 80, true),
        ] as [(String?, UInt16, UInt16, String?, UInt16, UInt16, Bool)])
    func `one port of the computer leads to one machine`(
        address: String?, first: UInt16, last: UInt16, other: String?, from: UInt16, to: UInt16, isGood: Bool
    ) throws {
        let before = try plan()
        for transport in [PublishedPort.Transport.tcp, .udp] {
            var (one, two) = (port(1, "a", "10.1.0.5", "fd01::5"), port(2, "b", "10.2.0.5", "fd02::5"))
            one.published = [PublishedPort(.tcp, on: address.flatMap { IPAddress($0) }, first...last, to: 1)].compactMap
            { $0 }
            two.published = [PublishedPort(transport, on: other.flatMap { IPAddress($0) }, from...to, to: 1)].compactMap
            { $0 }
            let both = network("b", 2, "10.2.0.0/24", "fd02::/64")
            let told = fault(before, change([both], [one, two]))
            if isGood || transport == .udp {
                #expect(told == nil)
            } else {
                #expect(try #require(told).contains("want one port"))
            }
        }
    }

    @Test func `ports lead to an address of their own family, and are not too many`() throws {
        for (own, address, words) in [
            ("fd01::5", nil, nil), ("fd01::5", "127.0.0.1", "no address of IPv4"), ("fd01::5", "::1", nil),
            ("10.1.0.5", nil, nil), ("10.1.0.5", "::1", "no address of IPv6"), ("10.1.0.5", "::", "no address of IPv6"),
        ] as [(String, String?, String?)] {
            var bare = port(1, "a", own)
            bare.published = [PublishedPort(.tcp, on: address.flatMap { IPAddress($0) }, 80...80, to: 80)].compactMap {
                $0
            }
            let told = fault(try plan(), change([], [bare]))
            #expect(words.map { told?.contains($0) == true } ?? (told == nil), "\(own) \(address ?? "")")
        }
        var many = port(1, "a", "10.1.0.5")
        many.published = [PublishedPort(.tcp, 1...1024, to: 1), PublishedPort(.udp, 1...1, to: 1)].compactMap { $0 }
        #expect(try #require(fault(plan(), change([], [many]))).contains("more than 1024"))
        #expect(PublishedPort(.tcp, 1...1000, to: 65_000) == nil)
        #expect(PublishedPort(.tcp, 0...10, to: 80) == nil)
    }
}
