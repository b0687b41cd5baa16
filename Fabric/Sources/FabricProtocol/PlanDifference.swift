/// What is to be made, and what is to go, to come from one plan to another.
public struct PlanDifference: Sendable {
    public private(set) var networks: [FabricNetwork] = []
    public private(set) var ports: [FabricPort] = []
    public private(set) var goneNetworks: [FabricNetwork] = []
    public private(set) var gonePorts: [FabricPort] = []

    /// - Parameters:
    ///   - change: what led from one to the other, either way: nothing else is looked at.
    ///   - makesAll: whether all is to be looked after, and not only what is other.
    public init(from before: FabricPlan, to next: FabricPlan, _ change: FabricChange, makesAll: Bool) {
        let isAll = makesAll || change.isWhole
        var names = isAll ? (before.networks + next.networks).map { $0.name } : change.removedNetworks
        if !isAll { names += change.networks.map { $0.name } }
        var seen: Set<String> = []
        for name in names where seen.insert(name).inserted {
            let (old, new) = (before.network(name), next.network(name))
            if let new, makesAll || old != new { networks.append(new) }
            // Its bridge may be another network's by now.
            if let old, old.number != new?.number, !next.networks.contains(where: { $0.number == old.number }) {
                goneNetworks.append(old)
            }
        }
        let others = Set(networks.map { $0.name })
        var numbers = isAll ? (before.ports + next.ports).map { $0.number } : change.removedPorts
        if !isAll {
            numbers += change.ports.map { $0.number }
            // They follow their networks.
            if !others.isEmpty {
                for port in next.ports where port.isIn(others) { numbers.append(port.number) }
            }
        }
        var seenNumbers: Set<UInt16> = []
        for number in numbers where seenNumbers.insert(number).inserted {
            let (old, new) = (before.port(number), next.port(number))
            if let new, makesAll || old != new || new.isIn(others) { ports.append(new) }
            if let old, new == nil || new?.network != old.network || new?.joined != old.joined { gonePorts.append(old) }
        }
    }
}

extension FabricPort {
    fileprivate func isIn(_ networks: Set<String>) -> Bool {
        (network.map(networks.contains) ?? false) || (joined.map(networks.contains) ?? false)
    }
}
