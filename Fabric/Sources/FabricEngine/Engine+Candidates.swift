import AgentProtocol
import FabricProtocol
import LinuxCalls
import Wiring

/// Appliances that a change would put into wires, which are made ready before it is asked for: however long that takes, others are answered
/// meanwhile, and the change itself is quick. Nothing is sent to them but probes, and what comes out of them goes nowhere.
final class Candidacy {
    /// Those that somebody is to read, and for what.
    fileprivate var ends: [(number: UInt16, reader: String)] = []
    /// Those that are to let probes through, by their inner ends, and what is wrong with one that does not.
    fileprivate var probed: [(inside: UInt16, fault: FabricFault)] = []
    /// All of their ends.
    fileprivate var allEnds: [UInt16] = []
    fileprivate let beginNanoseconds = Clock.monotonic.nanoseconds()

    var isEmpty: Bool { allEnds.isEmpty }
}

extension Engine {
    /// How long those that are ready are kept so, for the change.
    private static let readyNanoseconds: UInt64 = 5_000_000_000
    /// Whose name the plan does not have.
    static let looker = "the appliance that is to look"

    /// Takes the appliances that would come into wires by a change. An end that is in a wire, or is handing over what is under way in it, is
    /// left alone: whether it is ready is seen with the change.
    /// - Throws: when the change is refused whoever is ready.
    func makeCandidates(for wanted: FabricChange) throws(FabricFault) -> Candidacy {
        let change = plan.completing(wanted)
        let next = try plan.after(change)
        let candidacy = Candidacy()
        candidacies.append(candidacy)
        do throws(FabricFault) {
            for number in change.ports.map({ $0.number }) {
                guard let port = next.port(number), port.network != nil else { continue }
                try add(port, in: next, to: candidacy)
            }
        } catch {
            letGo(candidacy, isReady: false)
            throw error
        }
        if candidacy.isEmpty { letGo(candidacy, isReady: false) }
        return candidacy
    }

    private func add(_ port: FabricPort, in next: FabricPlan, to candidacy: Candidacy) throws(FabricFault) {
        let old = plan.port(port.number)
        let busy = usedEnds(of: plan).union(draining.map { $0.end })
        let probed = probedAddresses(of: port, in: next)
        for appliance in newcomers(of: port, besides: old) {
            guard !busy.contains(appliance.inside), !busy.contains(appliance.outside) else { continue }
            let ends = (
                inside: try opened(appliance.inside, appliance.name, of: port, candidacy),
                outside: try opened(appliance.outside, appliance.name, of: port, candidacy)
            )
            try prepareRouting(
                of: appliance, ends, port, probed: probed, by: Aim(port, [], among: []), at: 0)
            guard appliance.patienceMilliseconds != nil else { continue }
            let route = probeRoute(appliance, of: port, probed: probed)
            probes.watch(appliance, ends, through: route, isTrusted: false)
            try passProbes(at: [ends.inside, ends.outside])
            candidacy.probed.append((appliance.inside, faultOfProbes(appliance, route, isPassage: port.joined != nil)))
        }
        for end in lookers(of: port, besides: old) where !busy.contains(end) {
            _ = try opened(end, Self.looker, of: port, candidacy)
        }
    }

    /// Has probes that come out of an end be looked at, and all else be gone.
    private func opened(
        _ end: UInt16, _ reader: String, of port: FabricPort, _ candidacy: Candidacy
    ) throws(FabricFault) -> UInt32 {
        guard try isThere(end) else {
            throw FabricFault("\(reader) is gone, with its interface (port \(end)); nothing was switched")
        }
        let index = try prepared(FabricPort.tap(end))
        candidacy.allEnds.append(end)
        try join([Wire(from: index, to: try prepareSink())], of: port)
        candidacy.ends.append((end, reader))
        return index
    }

    /// Why they are not ready yet; nil: they are. Probes are sent to those that are waited for.
    func fault(of candidacy: Candidacy) -> FabricFault? {
        takeProbes()
        candidacy.ends.removeAll { end in
            ((try? links.find(ByteString(FabricPort.tap(end.number)))) ?? nil)?.hasCarrier == true
        }
        candidacy.probed.removeAll { probes.hasBegun($0.inside, since: candidacy.beginNanoseconds) }
        for (inside, _) in candidacy.probed { probes.send(through: inside) }
        return candidacy.ends.first.map(Self.unread) ?? candidacy.probed.first?.fault
    }

    static func unread(_ end: UInt16, _ reader: String) -> FabricFault {
        FabricFault("\(reader) does not read its interface (port \(end)); nothing was switched")
    }

    /// Those that no wire takes are closed: at once, or when the change that they are ready for has not come.
    func letGo(_ candidacy: Candidacy, isReady: Bool) {
        candidacies.removeAll { $0 === candidacy }
        let until = isReady ? Clock.monotonic.nanoseconds() + Self.readyNanoseconds : 0
        for end in candidacy.allEnds { draining.append((end, until)) }
    }

    /// The ends of all that are waited for.
    var candidates: Set<UInt16> { Set(candidacies.flatMap { $0.allEnds }) }
}
