import AgentProtocol
import FabricProtocol
import FabricRules
import LinuxCalls
import Wiring

/// What is known of a wire between two networks.
struct Passage {
    /// The ways that lead into it.
    var ways: [Steering]
    /// The networks' own addresses, of one family, between which probes are sent through an appliance that routes; nil: they have none.
    var probed: (upper: IPAddress, lower: IPAddress)?
    /// Where what goes through it goes on, by the link at which it arrives, and to which station it is sent there.
    var wires: [UInt32: (to: UInt32, station: [UInt8])] = [:]
    /// To which stations the appliances that route send what goes on, as far as they were told, by the ports of their ends.
    var neighbours: [UInt16: [UInt8]] = [:]
}

/// Appliances between two networks, and what is impaired there. A wire whose two ends are the fabric's own: routing leads what goes from one of
/// the networks to the other into it, and takes it up where it comes out.
extension Engine {
    /// Whether anybody is plugged in who needs a fabric.
    var isNeeded: Bool { plan.ports.contains { $0.joined == nil } }

    /// The wire's links, made or put right, with nothing led into it yet.
    func makePassage(_ port: FabricPort, in plan: FabricPlan) throws(FabricFault) {
        guard let upper = port.joined.flatMap(plan.network), let lower = port.network.flatMap(plan.network) else {
            return
        }
        let unit = min(upper.maximumTransmissionUnit, lower.maximumTransmissionUnit)
        do throws(LinuxError) {
            let sides = [
                (end: port.tap, own: port.upperEnd, station: FabricPort.upperStation(port.number)),
                (end: port.wireEnd, own: port.bridgePort, station: FabricPort.lowerStation(port.number)),
            ]
            var own: [UInt32] = []
            for side in sides {
                if try links.find(ByteString(side.end)) == nil {
                    try links.makePair(ByteString(side.end), peer: ByteString(side.own))
                }
                guard let link = try links.find(ByteString(side.own)), let end = try links.find(ByteString(side.end))
                else { throw .noDevice }
                if end.maximumTransmissionUnit != unit { try links.set(end.index, maximumTransmissionUnit: unit) }
                // Whom it belongs to says nothing by itself; what comes back by another way is as good as any.
                for (name, value) in [
                    ("ipv6/conf/\(side.own)/disable_ipv6", "0"), ("ipv6/conf/\(side.own)/addr_gen_mode", "1"),
                    ("ipv4/conf/\(side.own)/rp_filter", "0"), ("ipv6/conf/\(side.end)/disable_ipv6", "1"),
                ] {
                    guard let file = try? open("/proc/sys/net/" + name, .writeOnly) else { continue }
                    try writeAll(file.number, value)
                }
                if !link.isUp || link.hardwareAddress != side.station {
                    try links.set(link.index, isUp: false, hardwareAddress: side.station)
                }
                try links.set(link.index, isUp: true, maximumTransmissionUnit: unit)
                own.append(link.index)
            }
            var ways: [Steering] = []
            for (from, to, place) in [(upper, lower, 0), (lower, upper, 1)] {
                for prefix in to.prefixes where from.prefixes.contains(where: { $0.family == prefix.family }) {
                    ways.append(
                        Steering(
                            arrival: ByteString(from.bridge),
                            destination: Interface.Address(prefix.base, prefixLength: prefix.length),
                            link: own[place], table: 0x5357_0000 + UInt32(port.number) * 2 + UInt32(place)))
                }
            }
            for way in ways { try links.prepare(way) }
            let old = passages[port.number]?.ways ?? []
            if passages[port.number] == nil { passages[port.number] = Passage(ways: []) }
            passages[port.number]?.ways = ways
            passages[port.number]?.probed = probedAddresses(of: port, in: plan)
            // What is at their ends is put right, too.
            for appliance in port.line where appliance.routing != nil {
                (routerEnds[appliance.inside], routerEnds[appliance.outside]) = (nil, nil)
            }
            for way in old where !ways.contains(way) { try links.end(way) }
            entrances[port.number] = (
                plain: RoutingRules.text(ofEntrance: port, between: [upper, lower], isPlain: true),
                open: RoutingRules.text(ofEntrance: port, between: [upper, lower], isPlain: false)
            )
        } catch {
            throw FabricFault("\(upper.name) and \(lower.name) cannot be joined: \(error)")
        }
        try makeStretch(port, maximumTransmissionUnit: unit)
    }

    /// Whether what goes into the port's wire must be what both networks may reach, as far as is known before it is connected: an appliance
    /// that is not known to be in the way decides about nothing.
    func isPlain(_ port: FabricPort) -> Bool {
        port.line.isEmpty || plainPassages.contains(port.number)
            || (port.impairment != nil && joined[port.number]?.isEmpty ?? true)
    }

    /// Has the rules of a wire between networks say who may send into it. Of a machine's wire there is nothing to do.
    func setEntrance(_ port: FabricPort, isPlain: Bool) throws(FabricFault) {
        guard let rules = entrances[port.number], plainPassages.contains(port.number) != isPlain else { return }
        do throws(FabricFault) { try setRules(isPlain ? rules.plain : rules.open) } catch {
            throw FabricFault("the rules between networks cannot be set: \(error)")
        }
        if isPlain { plainPassages.insert(port.number) } else { plainPassages.remove(port.number) }
    }

    /// The own addresses of the two networks, of IPv4 where both have one. Nil for a machine's wire, too.
    func probedAddresses(of port: FabricPort, in plan: FabricPlan) -> (upper: IPAddress, lower: IPAddress)? {
        guard let upper = port.joined.flatMap(plan.network), let lower = port.network.flatMap(plan.network) else {
            return nil
        }
        for family in [IPAddress.Family.v4, .v6] {
            let own = [upper, lower].compactMap { network in
                network.ownAddresses.first { $0.address.family == family }?.address
            }
            if own.count == 2 { return (own[0], own[1]) }
        }
        return nil
    }

    /// Leads what goes between two networks into their wire, or where it would go without. Of a machine's port there is nothing to do.
    func steer(_ port: UInt16, isOn: Bool) throws(FabricFault) {
        do throws(LinuxError) {
            for way in passages[port]?.ways ?? [] {
                if isOn { try links.begin(way) } else { try links.end(way) }
            }
        } catch {
            throw FabricFault("what goes between networks cannot be led through port \(port): \(error)")
        }
    }
}
