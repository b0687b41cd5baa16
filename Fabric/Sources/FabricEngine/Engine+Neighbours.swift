import AgentProtocol
import FabricProtocol
import LinuxCalls
import Wiring

/// A router's end that was told of another neighbour a moment ago.
struct TurnedEnd {
    var dueNanoseconds: UInt64
    var end: UInt16
    var neighbour: [UInt8]
    /// How often it is still to be told.
    var remaining: Int
}

/// Appliances that route and have another neighbour behind them than before. They remember its hardware address, and send there until they have
/// heard of the other one: so they are told after wires were switched, and what they send to the former neighbour goes its former way
/// until they were told for the last time.
extension Engine {
    private static let remindingNanoseconds: UInt64 = 400_000_000
    private static let reminders = 3

    /// One that is put in has nothing under way: it is told of its neighbours before.
    func forgetNeighbours(of appliance: InlineAppliance, in port: FabricPort) {
        for end in appliance.ends { passages[port.number]?.neighbours[end] = nil }
    }

    /// Has each router send what goes on to whoever is behind it by now.
    func turnRouters(_ present: [InlineAppliance], of port: FabricPort, by aim: Aim) throws(FabricFault) {
        for (place, appliance) in present.enumerated() where appliance.routing != nil {
            try turn(appliance.inside, to: aim.up(from: place), of: port)
            try turn(appliance.outside, to: aim.down(from: place), of: port)
        }
    }

    private func turn(_ end: UInt16, to neighbour: [UInt8], of port: FabricPort) throws(FabricFault) {
        let known = passages[port.number]?.neighbours.updateValue(neighbour, forKey: end)
        guard let known, known != neighbour, var router = routerEnds[end] else { return }
        router.neighbour = neighbour
        do throws(LinuxError) { try wires.turn(router) } catch {
            throw FabricFault("a router cannot be told who is behind it (port \(end)): \(error)")
        }
        routerEnds[end] = router
        announceNextHops(at: end)
        turnedEnds.removeAll { $0.end == end }
        turnedEnds.append(
            TurnedEnd(
                dueNanoseconds: Clock.monotonic.nanoseconds() + Self.remindingNanoseconds, end: end,
                neighbour: neighbour, remaining: Self.reminders))
    }

    /// Tells those once more who may not have heard it, and ends former ways. Nanoseconds until the next; nil: all were told.
    func remindRouters() -> UInt64? {
        let now = Clock.monotonic.nanoseconds()
        for place in turnedEnds.indices where turnedEnds[place].dueNanoseconds <= now {
            let turned = turnedEnds[place]
            turnedEnds[place].remaining -= 1
            turnedEnds[place].dueNanoseconds = now + Self.remindingNanoseconds
            guard let router = routerEnds[turned.end], router.neighbour == turned.neighbour else {
                turnedEnds[place].remaining = 0
                continue
            }
            if turned.remaining > 1 {
                announceNextHops(at: turned.end)
            } else {
                do throws(WireFailure) { try wires.endFormerWays(at: [router.link]) } catch {
                    EngineLog.write("the former way of port \(turned.end) goes on: \(error.cause)")
                }
            }
        }
        turnedEnds.removeAll { $0.remaining <= 0 }
        return turnedEnds.map { $0.dueNanoseconds }.min().map { $0 > now ? $0 - now : 0 }
    }

    /// Tells a router who its next hop is. One that does not hear it asks when nobody answers.
    func announceNextHops(at end: UInt16) {
        guard let router = routerEnds[end] else { return }
        for address in [router.gateway, router.gateway6].compactMap({ $0 }) {
            try? frames.send(Announcement.frame(address, of: router.neighbour), over: router.link)
        }
    }
}
