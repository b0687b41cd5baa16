/// Of which networks machines find the names that are in several of them: machines with the same view share who answers them.
public struct NameView: Hashable, Sendable {
    /// Where two networks have a machine of one name, the earlier one's is meant by the name alone.
    public let networks: [String]
    /// Whether the machines may not reach everything, and are answered for names outside by what they may.
    public let isStrict: Bool

    public init(networks: [String], isStrict: Bool) {
        self.networks = networks
        self.isStrict = isStrict
    }
}

extension FabricPlan {
    /// A program answers for each.
    public static let mostNameViews = 512

    /// Nil for who is answered by its own network.
    public func nameView(of port: FabricPort) -> NameView? {
        guard port.nameNetworks.count > 1, port.isMachine, let own = port.network else { return nil }
        let networks = port.nameNetworks.filter { network($0)?.givesNames ?? false }
        guard networks.count > 1, networks.contains(own) else { return nil }
        return NameView(networks: networks, isStrict: port.egress != nil)
    }

    /// The networks that those reach, without these themselves: of their machines they find the full names.
    public func namesReached(from networks: [String]) -> [String] {
        var reached: [String] = []
        for name in networks.flatMap({ network($0)?.reachableNetworks ?? [] })
        where !networks.contains(name) && !reached.contains(name) && network(name)?.givesNames ?? false {
            reached.append(name)
        }
        return reached
    }

    func checkNameViews(_ port: FabricPort) throws(FabricFault) {
        if port.nameNetworks.isEmpty { return }
        guard port.isMachine, let own = port.network, port.nameNetworks.contains(own),
            Set(port.nameNetworks).count == port.nameNetworks.count
        else {
            throw FabricFault("port \(port.number) is to find the names of other networks than those that it is in")
        }
        if let unknown = port.nameNetworks.first(where: { network($0) == nil }) {
            throw FabricFault("there is no network \(unknown), whose names port \(port.number) is to find")
        }
    }

    func checkNumberOfNameViews() throws(FabricFault) {
        var views: Set<NameView> = []
        for port in ports { if let view = nameView(of: port) { views.insert(view) } }
        guard views.count <= Self.mostNameViews else {
            throw FabricFault(
                "the machines of a fabric find the names of at most \(Self.mostNameViews) different sets of networks")
        }
    }
}
