import AgentProtocol
import FabricProtocol
import FabricRules
import LinuxCalls
import WireFormats
import Wiring

/// What machines may open connections to outside of their networks.
extension Engine {
    /// How often one half of the sets of addresses is emptied: longer than answers are believed.
    private static let emptyingNanoseconds: UInt64 = 3_600_000_000_000
    /// Enough of a packet for its addresses and ports.
    static let loggedBytes: UInt32 = 128

    /// What changes of the rules.
    func egressRules(
        _ next: FabricPlan, _ difference: PlanDifference, from before: FabricPlan, isRepair: Bool
    ) -> String {
        var (gone, new) = ("", "")
        for port in difference.gonePorts where port.egress != nil && !isRepair {
            if let network = port.network.flatMap(before.network) { gone += EgressRules.removal(of: port, in: network) }
        }
        for port in difference.ports {
            guard let network = port.network.flatMap(next.network) else { continue }
            let rules = EgressRules.text(of: port, in: network)
            var old = ""
            if let port = before.port(port.number), let network = port.network.flatMap(before.network) {
                old = EgressRules.text(of: port, in: network)
                // The way to it bears its station's address.
                if old != rules, !old.isEmpty, !isRepair { gone += EgressRules.removal(of: port, in: network) }
            }
            if isRepair || old != rules { new += rules }
        }
        // A domain goes with a rule that named it.
        var losing: Set<String> = []
        for port in difference.ports + difference.gonePorts {
            if let old = before.port(port.number), old.egress != nil, let name = old.network { losing.insert(name) }
        }
        for network in before.networks where !isRepair && losing.contains(network.name) {
            let kept = next.network(network.name)?.number == network.number
            new += EgressRules.removal(
                ofDomainsBetween: before.ports(in: network), and: kept ? next.ports(in: network) : [], in: network)
        }
        if isRepair { return EgressRules.reset + new }
        return gone + (new.isEmpty ? "" : EgressRules.frame + new)
    }

    /// Has those who may not reach everything be told the names that they may ask for now.
    func serveEgressNames(_ next: FabricPlan, _ difference: PlanDifference) throws(FabricFault) {
        var names: Set<String> = []
        for port in difference.ports + difference.gonePorts { if let name = port.network { names.insert(name) } }
        for network in next.networks where names.contains(network.name) { try serveStrictly(network, in: next) }
    }

    /// Empties one half of the sets of addresses when it is time. Nanoseconds until it is time again; nil when there are none.
    func emptyEgressSets() -> UInt64? {
        guard plan.ports.contains(where: { $0.egress?.domains.isEmpty == false }) else {
            nextEmptying = nil
            return nil
        }
        let now = Clock.monotonic.nanoseconds()
        guard let next = nextEmptying else {
            nextEmptying = (now + Self.emptyingNanoseconds, "a")
            return Self.emptyingNanoseconds
        }
        if next.nanoseconds > now { return next.nanoseconds - now }
        nextEmptying = (now + Self.emptyingNanoseconds, next.half == "a" ? "b" : "a")
        if let text = EgressRules.emptying(next.half, of: plan) {
            do throws(FabricFault) { try setRules(text) } catch {
                EngineLog.write("addresses of domains stay allowed: \(error)")
            }
        }
        return Self.emptyingNanoseconds
    }

    /// To be watched for being readable: somebody has opened something, or was refused it.
    public var packetsDescriptor: Int32? { packetLog?.descriptor }

    /// Writes down what machines have opened and been refused since it was last looked at.
    public func takeLoggedPackets() {
        let now = Clock.realTime.nanoseconds()
        var lines: [String: [UInt8]] = [:]
        for packet in packetLog?.next() ?? [] {
            let words = packet.prefix.utf8.split(separator: 0x20)
            guard words.count == 2, let number = UInt16(String(Substring(words[0]))),
                let policy = plan.port(number)?.egress,
                let log = policy.log
            else { continue }
            var rule: String?
            if let place = Int(String(Substring(words[1]))), policy.rules.indices.contains(place) {
                rule = policy.rules[place].description
            }
            EgressLog.line(packet, rule: rule, nanoseconds: now).write(to: &lines[log, default: []])
            lines[log, default: []].append(0x0a)
        }
        for (path, bytes) in lines { EgressLog.append(bytes, to: path) }
    }

    public var refusedNamesDescriptor: Int32 { refusedNames.reading }

    /// Writes down which names machines have asked for in vain.
    public func takeRefusedNames() {
        let now = Clock.realTime.nanoseconds()
        for refused in refusedNames.take() {
            let port = plan.ports.first { $0.egress != nil && $0.addresses.contains(refused.client) }
            guard let log = port?.egress?.log else { continue }
            var line: [UInt8] = []
            EgressLog.line(refused, nanoseconds: now).write(to: &line)
            EgressLog.append(line + [0x0a], to: log)
        }
    }
}
