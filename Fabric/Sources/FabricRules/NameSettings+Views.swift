import AgentProtocol
public import FabricProtocol

/// Names beyond a network: of those that it reaches, and of all that a machine is in.
extension NameSettings {
    /// What a port's addresses are called in other networks, as a file of hosts; nil where they have no name. By itself a name means a
    /// machine that is nearer, or none: it does not come to mean another one when that is gone.
    public static func fullNames(of port: FabricPort, in network: FabricNetwork) -> String? {
        text(of: port, in: network) { _ in false }
    }

    /// The files of hosts for machines with a view, by ports. A name by itself means a machine in the first of their networks that has one of
    /// that name.
    public static func names(in view: NameView, of plan: FabricPlan) -> [UInt16: String] {
        var files: [UInt16: String] = [:]
        var taken: Set<String> = []
        for network in view.networks.compactMap(plan.network) {
            var own: Set<String> = []
            for port in plan.ports(in: network) {
                files[port.number] = text(of: port, in: network) { !taken.contains($0) }
                if files[port.number] != nil { own.formUnion(port.names) }
            }
            taken.formUnion(own)
        }
        for network in plan.namesReached(from: view.networks).compactMap(plan.network) {
            for port in plan.ports(in: network) { files[port.number] = fullNames(of: port, in: network) }
        }
        return files
    }

    /// An address is called backwards by what is written first.
    private static func text(
        of port: FabricPort, in network: FabricNetwork, _ meansItByItself: (String) -> Bool
    ) -> String? {
        guard port.isMachine, !port.names.isEmpty, !port.addresses.isEmpty else { return nil }
        let names = port.names.map { "\($0).\(network.domain)" } + port.names.filter(meansItByItself)
        return port.addresses.map { "\($0) \(names.joined(separator: " "))\n" }.joined()
    }

    /// The settings of who answers machines with a view, in all of its networks. Names outside are asked of those whom the first network asks
    /// that asks anybody.
    /// - Parameter number: the port that it listens on.
    public static func text(
        of view: NameView, at number: UInt16, in plan: FabricPlan, names: String, pidFile: String
    ) -> String {
        let networks = view.networks.compactMap(plan.network)
        var lines = common(networks, names: names, pidFile: pidFile)
        // It listens on those that there are when it begins.
        lines += networks.flatMap { $0.ownAddresses }.map { "# \($0.address)" }
        lines.append("port=\(number)")
        let nameServers = networks.first { !$0.nameServers.isEmpty }?.nameServers ?? []
        if view.isStrict {
            let asking = networks.flatMap { network in
                plan.ports(in: network).filter { plan.nameView(of: $0) == view }.map { ($0, network) }
            }
            lines += EgressNames.strictness(asking, nameServers: nameServers)
        } else {
            lines += [silence] + nameServers.map { "server=\($0)" }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
