import AgentProtocol
import FabricProtocol
import FabricRules
import LinuxCalls
import Wiring

/// To which stations what goes between two networks is sent, where appliances are between them.
struct Aim {
    private let upper: [UInt8]
    private let lower: [UInt8]
    /// The appliances that route and through which traffic goes, by their places.
    private let routers: [(place: Int, stations: InlineAppliance.Stations)]

    /// Nil for a machine's wire, whose two sides know each other's stations.
    /// - Parameters:
    ///   - active: those through which traffic goes.
    ///   - present: all of them, from the upper network to the lower one.
    init?(_ port: FabricPort, _ active: [InlineAppliance], among present: [InlineAppliance]) {
        guard port.joined != nil else { return nil }
        upper = FabricPort.upperStation(port.number)
        lower = FabricPort.lowerStation(port.number)
        routers = present.enumerated().compactMap { place, appliance in
            active.contains(appliance) ? appliance.routing.map { (place, $0) } : nil
        }
    }

    /// Of what comes out of the appliance at that place towards the lower network; -1: of what the upper network sends.
    func down(from place: Int) -> [UInt8] {
        routers.first { $0.place > place }?.stations.inside ?? lower
    }

    /// Of what comes out of the appliance at that place towards the upper network; behind the last one: of what the lower network sends.
    func up(from place: Int) -> [UInt8] {
        routers.last { $0.place < place }?.stations.outside ?? upper
    }
}

/// Appliances between networks that route. What is to go through one is sent to its hardware addresses, and what it sends on to those of the
/// next router or of the wire's own end: whichever is behind it, it is told for the next hop of that side.
extension Engine {
    /// Between these two probes of appliances that route leave wires: what goes out at the first arrives at the second.
    private static let probeLinks: (out: ByteString, in: ByteString) = ("probes", "probed")

    func aim(_ port: UInt16, down: [UInt8], up: [UInt8]) throws(FabricFault) {
        do throws(LinuxError) {
            // Of each family one way leads down and one up: by the number of its table.
            for way in passages[port]?.ways ?? [] { try links.aim(way, at: way.table % 2 == 0 ? down : up) }
        } catch {
            throw FabricFault("what goes between networks cannot be sent through port \(port): \(error)")
        }
    }

    /// Before wires are switched: what is under way to the station that all was sent to goes on as it did, and what is sent to another one
    /// afterwards goes the new way. So every packet takes one of both, though wires and stations do not change in one step.
    /// - Parameters:
    ///   - busy: the wires that are about to be switched.
    ///   - quiet: those that are there already.
    ///   - isUsed: whether anything will be sent to these stations.
    func keepFormerWays(
        _ busy: [Wire], besides quiet: [Wire], _ stations: [UInt32: [UInt8]], of port: FabricPort, isUsed: Bool
    ) throws(FabricFault) {
        guard let passage = passages[port.number], port.joined != nil else { return }
        var kept: [(wire: Wire, station: [UInt8]?)] = []
        var now: [UInt32: (to: UInt32, station: [UInt8])] = [:]
        for wire in quiet + busy {
            if let station = stations[wire.from] { now[wire.from] = (wire.to, station) }
        }
        for wire in busy {
            guard let station = stations[wire.from] else { continue }
            if let former = passage.wires[wire.from], former.station != station, former.to != wire.to {
                kept.append((Wire(from: wire.from, to: former.to), former.station))
            } else {
                kept.append((wire, nil))
            }
        }
        do throws(WireFailure) { try wires.keep(kept) } catch {
            throw FabricFault("the former way of port \(port.number) cannot be kept: \(error.cause)")
        }
        passages[port.number]?.wires = isUsed ? now : [:]
    }

    /// Has an appliance that routes find its next hops at both ends, which are up; or makes its ends those of any other again. One that
    /// knows its neighbours goes on with these: `turnRouters` tells it of others when wires are switched.
    /// - Parameters:
    ///   - probed: what `probedAddresses` are.
    ///   - aim: nil in a machine's wire, where nobody routes.
    func prepareRouting(
        of appliance: InlineAppliance, _ ends: (inside: UInt32, outside: UInt32), _ port: FabricPort,
        probed: (upper: IPAddress, lower: IPAddress)?, by aim: Aim?, at place: Int
    ) throws(FabricFault) {
        guard let stations = appliance.routing, let aim else {
            for end in [appliance.inside, appliance.outside] { endRouting(at: end) }
            return
        }
        let collector = try prepareProbeLinks()
        let known = passages[port.number]?.neighbours ?? [:]
        let wanted = [
            (
                appliance.inside,
                RouterEnd(
                    link: ends.inside, neighbour: known[appliance.inside] ?? aim.up(from: place),
                    gateway: RouterHops.gateways.inside, gateway6: RouterHops.gateway6, own: RouterHops.own.inside,
                    own6: PortRules.linkAddress(of: stations.inside), probed: probed?.upper,
                    probePort: RouterHops.probePort, probes: collector)
            ),
            (
                appliance.outside,
                RouterEnd(
                    link: ends.outside, neighbour: known[appliance.outside] ?? aim.down(from: place),
                    gateway: RouterHops.gateways.outside, gateway6: RouterHops.gateway6, own: RouterHops.own.outside,
                    own6: PortRules.linkAddress(of: stations.outside), probed: probed?.lower,
                    probePort: RouterHops.probePort, probes: collector)
            ),
        ]
        for (number, end) in wanted where routerEnds[number] != end {
            unmakeRouter(at: number)
            for (name, value) in [
                ("ipv4/conf/\(FabricPort.tap(number))/rp_filter", "0"),
                ("ipv6/conf/\(FabricPort.tap(number))/disable_ipv6", "0"),
            ] {
                if let file = try? open("/proc/sys/net/" + name, .writeOnly) { try? writeAll(file.number, value) }
            }
            do throws(LinuxError) { try wires.begin(end) } catch {
                throw FabricFault("\(appliance.name) cannot be given next hops (port \(number)): \(error)")
            }
            routerEnds[number] = end
            // It may have been elsewhere before.
            announceNextHops(at: number)
        }
    }

    /// Once more is no error.
    func endRouting(at end: UInt16) {
        for port in passages.keys { passages[port]?.neighbours[end] = nil }
        unmakeRouter(at: end)
    }

    private func unmakeRouter(at end: UInt16) {
        guard let router = routerEnds.removeValue(forKey: end) else { return }
        do throws(LinuxError) { try wires.end(router) } catch {
            EngineLog.write("port \(end) goes on as an appliance's that routes: \(error)")
        }
    }

    /// How probes get through the appliance; nil: as through a bridge.
    func probeRoute(
        _ appliance: InlineAppliance, of port: FabricPort, probed: (upper: IPAddress, lower: IPAddress)?
    ) -> ProbeRoute? {
        guard let stations = appliance.routing, let probed else { return nil }
        return ProbeRoute(
            inside: ProbeRoute.Side(
                address: probed.upper, own: FabricPort.upperStation(port.number), station: stations.inside),
            outside: ProbeRoute.Side(
                address: probed.lower, own: FabricPort.lowerStation(port.number), station: stations.outside))
    }

    /// That it carries nothing, in words that say what would be enough.
    /// - Parameter isPassage: it is between two networks, where it may route.
    func faultOfProbes(_ appliance: InlineAppliance, _ route: ProbeRoute?, isPassage: Bool) -> FabricFault {
        guard let route else {
            let hint = isPassage ? " (one that routes is put there with --routing)" : ""
            return FabricFault(
                "\(appliance.name) lets no frames through from one of its interfaces to the other\(hint); nothing was switched"
            )
        }
        let (inside, outside) = RouterHops.gateways
        return FabricFault(
            "\(appliance.name) does not route from \(route.inside.address) to \(route.outside.address) and back (UDP, port \(RouterHops.probePort)), by \(inside) at its inside and \(outside) at its outside; nothing was switched"
        )
    }

    /// The index of the link that probes are to go out at.
    private func prepareProbeLinks() throws(FabricFault) -> UInt32 {
        do throws(LinuxError) {
            if try links.find(Self.probeLinks.out) == nil {
                try links.makePair(Self.probeLinks.out, peer: Self.probeLinks.in)
            }
            var indices: [UInt32] = []
            for name in [Self.probeLinks.out, Self.probeLinks.in] {
                guard let link = try links.find(name) else { throw .noDevice }
                if !link.isUp {
                    try wires.prepare(link.index)
                    try links.set(link.index, isUp: true)
                }
                indices.append(link.index)
            }
            try probes.listen(at: indices[1])
            return indices[0]
        } catch {
            throw FabricFault("probes of appliances that route cannot be heard: \(error)")
        }
    }
}
