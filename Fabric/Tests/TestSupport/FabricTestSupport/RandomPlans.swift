import AgentProtocol
public import FabricProtocol

/// SplitMix64: the same plans for the same seed.
public struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }
}

extension FabricPlan {
    /// A plan with some networks and ports, as different as plans may be.
    public static func random(seed: UInt64) throws -> FabricPlan {
        var generator = SeededGenerator(seed: seed)
        var change = FabricChange()
        for number in 1...UInt16.random(in: 1...5, using: &generator) {
            change.networks.append(network(number, among: change.networks, &generator))
        }
        for number in 1...UInt16.random(in: 1...8, using: &generator) {
            // Two ends of an appliance for each port that may have one in its wire.
            let ends = [number * 3 + 1, number * 3 + 2]
            change.ports += ends.map { FabricPort(number: $0, network: nil, hardwareAddress: station($0)) }
            guard let network = change.networks.randomElement(using: &generator) else { continue }
            var machine = port(number * 3, in: network, ends, &generator)
            if Bool.random(using: &generator) {
                machine.nameNetworks = change.networks.map { $0.name }.shuffled(using: &generator)
            }
            change.ports.append(machine)
        }
        let routed = change.networks.filter { $0.isRouted }
        if routed.count > 1, Bool.random(using: &generator) {
            change.ports += passage(between: routed[0], routed[1], &generator)
        }
        return try FabricPlan().after(change)
    }

    private static func passage(
        between one: FabricNetwork, _ other: FabricNetwork, _ generator: inout SeededGenerator
    ) -> [FabricPort] {
        let ends = [UInt16(101), 102, 103, 104].map {
            FabricPort(number: $0, network: nil, hardwareAddress: station($0))
        }
        var passage = FabricPort(number: 100, network: other.name, hardwareAddress: FabricPort.upperStation(100))
        passage.joined = one.name
        if Bool.random(using: &generator) {
            var wall = InlineAppliance(name: "wall", inside: 101, outside: 102)
            if Bool.random(using: &generator) {
                wall.shadow = InlineAppliance.Shadow(inside: 103, outside: 104)
            } else if Bool.random(using: &generator) {
                wall.routing = InlineAppliance.Stations(inside: station(101), outside: station(102))
            }
            passage.line = [wall]
        }
        if Bool.random(using: &generator) {
            var impairment = Impairment()
            impairment.toNetwork.delayMicroseconds = UInt32.random(in: 0...10_000_000, using: &generator)
            passage.impairment = impairment
        }
        return ends + [passage]
    }

    private static func network(
        _ number: UInt16, among others: [FabricNetwork], _ generator: inout SeededGenerator
    ) -> FabricNetwork {
        let place = UInt8(number)
        var prefixes: [NetworkPrefix?] = []
        if Bool.random(using: &generator) {
            let length = UInt8.random(in: 16...28, using: &generator)
            prefixes.append(NetworkPrefix(IPAddress(v4: 10, place, 0, 0), length: length))
        }
        if Bool.random(using: &generator) {
            let head: [UInt8] = number == 1 && Bool.random(using: &generator) ? [0xfe, 0x80] : [0xfd, place]
            let address = IPAddress(networkOrder: head + [UInt8](repeating: 0, count: 14))
            let length = UInt8.random(in: 48...120, using: &generator)
            prefixes.append(address.flatMap { NetworkPrefix($0, length: length) })
        }
        let present = prefixes.compactMap { $0 }
        if Bool.random(using: &generator), Bool.random(using: &generator) {
            return FabricNetwork(
                name: "net-\(number)", number: number * 7, prefixes: present, reachesOutside: false,
                isPrivate: Bool.random(using: &generator),
                gateways: present.compactMap { $0.address(2) }.filter { _ in Bool.random(using: &generator) })
        }
        return FabricNetwork(
            name: "net-\(number)", number: number * 7, prefixes: present,
            maximumTransmissionUnit: UInt32.random(in: FabricNetwork.maximumTransmissionUnits, using: &generator),
            reachesOutside: Bool.random(using: &generator),
            reachableNetworks: others.filter { $0.isRouted && Bool.random(using: &generator) }.map { $0.name },
            isPrivate: Bool.random(using: &generator),
            nameServers: ["9.9.9.9", "2620:fe::fe"].compactMap { IPAddress($0) }.filter { _ in
                Bool.random(using: &generator)
            })
    }

    private static func port(
        _ number: UInt16, in network: FabricNetwork, _ ends: [UInt16], _ generator: inout SeededGenerator
    ) -> FabricPort {
        var addresses: [IPAddress] = []
        if !network.prefixes.isEmpty {
            for place in 0..<UInt64.random(in: 0...8, using: &generator) {
                let prefix = network.prefixes.randomElement(using: &generator)
                // Behind the network's own; the smallest networks have no room for all.
                let place = 2 + UInt64(number / 3 - 1) * 8 + place
                guard let prefix, let address = prefix.address(place), address != prefix.broadcast else { continue }
                addresses.append(address)
            }
        }
        let names = ["web", "9", "12h", "infinite", "ignore", "a-1"].filter { _ in Bool.random(using: &generator) }
        let isWired = Bool.random(using: &generator)
        let line = InlineAppliance(
            name: "wall", inside: ends[0], outside: ends[1], failsOpen: Bool.random(using: &generator),
            isBypassed: Bool.random(using: &generator),
            patienceMilliseconds: Bool.random(using: &generator) ? 150 : nil)
        var port = FabricPort(
            number: number, network: network.name, hardwareAddress: station(number), addresses: addresses,
            names: names, owner: Bool.random(using: &generator) ? 1000 : nil,
            line: isWired ? [line] : [], mirrors: !isWired && Bool.random(using: &generator) ? [ends[1]] : [],
            published: network.isRouted ? published(number, addresses, &generator) : [],
            hidesVisitors: Bool.random(using: &generator), egress: network.isRouted ? try? egress(&generator) : nil)
        if Bool.random(using: &generator) {
            var impairment = Impairment()
            impairment.toMachine = way(&generator)
            impairment.toNetwork = way(&generator)
            port.impairment = impairment
        }
        return port
    }

    private static func way(_ generator: inout SeededGenerator) -> Impairment.Way {
        var way = Impairment.Way()
        way.delayMicroseconds = UInt32.random(in: 0...Impairment.Way.mostDelayMicroseconds, using: &generator)
        way.jitterMicroseconds = UInt32.random(in: 0...way.delayMicroseconds, using: &generator)
        way.lossMillipercent = UInt32.random(in: 0...Impairment.Way.mostMillipercent, using: &generator)
        way.duplicateMillipercent = UInt32.random(in: 0...Impairment.Way.mostMillipercent, using: &generator)
        way.kilobitsPerSecond = UInt32.random(in: 0...Impairment.Way.mostKilobitsPerSecond, using: &generator)
        return way
    }

    /// Of every kind of rule, any.
    private static func egress(_ generator: inout SeededGenerator) throws(FabricFault) -> EgressPolicy? {
        if Bool.random(using: &generator) { return nil }
        var policy = EgressPolicy([], log: Bool.random(using: &generator) ? "/tmp/egress.log" : nil)
        for text in [
            "example.com", "a_b.ex-ample.co.uk:443", "x.test:8000-8009/tcp", "10.0.0.0/8", "192.0.2.1:53/udp",
            "0.0.0.0/0:123/udp", "[2001:db8::/32]:443/tcp", "[::1]", "fd00::5", "198.51.100.0/24/tcp",
        ] where Bool.random(using: &generator) { policy.rules.append(try EgressRule(parsing: text)) }
        return policy
    }

    /// Ports that no other port of the plan has.
    private static func published(
        _ number: UInt16, _ addresses: [IPAddress], _ generator: inout SeededGenerator
    ) -> [PublishedPort] {
        [PublishedPort.Transport.tcp, .udp].flatMap { transport in
            let own = number * 100...number * 100 + UInt16.random(in: 0...50, using: &generator)
            let places = ["127.0.0.1", "0.0.0.0", "::1", "::", "2001:db8::1"].compactMap { IPAddress($0) }
            let usable = places.filter { place in addresses.contains { $0.family == place.family } }
            let address = Bool.random(using: &generator) ? usable.randomElement(using: &generator) : nil
            let published = PublishedPort(
                transport, on: address, own, to: UInt16.random(in: 1...60_000, using: &generator))
            return Bool.random(using: &generator) && !addresses.isEmpty ? [published].compactMap { $0 } : []
        }
    }

    private static func station(_ number: UInt16) -> [UInt8] {
        [2, 0, 0, 0, UInt8(number >> 8), UInt8(truncatingIfNeeded: number)]
    }
}
