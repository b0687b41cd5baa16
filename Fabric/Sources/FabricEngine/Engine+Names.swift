import AgentProtocol
import FabricProtocol
import FabricRules
import LinuxCalls

/// What machines are called, in their networks and where these are reached.
extension Engine {
    /// What the port's machine is called, and which address it is given.
    func setNames(of port: FabricPort, in plan: FabricPlan) throws(FabricFault) {
        guard port.isMachine, let network = port.network.flatMap(plan.network), network.givesNames else { return }
        let files = folder.names(network)
        let wasOther = [
            try Self.replace(files.name(port.number), NameSettings.names(of: port), files),
            try Self.replace(files.lease(port.number), NameSettings.lease(of: port), files),
        ]
        if wasOther.contains(true) { changedNames.insert(network.number) }
        for other in Self.networks(reaching: network, in: plan) {
            try setName(of: port.number, NameSettings.fullNames(of: port, in: network), in: other)
        }
        try nameServers.take(port, network, plan, in: files)
    }

    /// What the machines that a network reaches are called there, and nobody else.
    func setReachedNames(in network: FabricNetwork, of plan: FabricPlan) throws(FabricFault) {
        guard network.givesNames else { return }
        var names: [UInt16: String] = [:]
        for other in plan.namesReached(from: [network.name]).compactMap(plan.network) {
            for port in plan.ports(in: other) { names[port.number] = NameSettings.fullNames(of: port, in: other) }
        }
        for number in folder.names(network).named
        where names[number] == nil && plan.port(number)?.network != network.name {
            try setName(of: number, nil, in: network)
        }
        for (number, text) in names { try setName(of: number, text, in: network) }
    }

    /// Of ports that are no more.
    func removeNames(of ports: [FabricPort]) {
        for port in ports {
            guard port.isMachine, let network = port.network.flatMap(plan.network) else { continue }
            let files = folder.names(network)
            for file in [files.name(port.number), files.lease(port.number)] {
                do throws(LinuxError) { try FileTree.remove([UInt8](file.utf8)) } catch { continue }
                changedNames.insert(network.number)
            }
            for other in Self.networks(reaching: network, in: plan) { try? setName(of: port.number, nil, in: other) }
        }
    }

    private func setName(of port: UInt16, _ text: String?, in network: FabricNetwork) throws(FabricFault) {
        let files = folder.names(network)
        if try Self.replace(files.name(port), text, files) { changedNames.insert(network.number) }
    }

    private static func networks(reaching network: FabricNetwork, in plan: FabricPlan) -> [FabricNetwork] {
        plan.networks.filter {
            $0.givesNames && $0.name != network.name && $0.reachableNetworks.contains(network.name)
        }
    }

    /// - Returns: whether something else was there before.
    static func replace(_ path: String, _ text: String?, _ folder: NameFolder) throws(FabricFault) -> Bool {
        let before = EngineFolder.read(path, maximumBytes: 64 << 10)
        let bytes = text.map { [UInt8]($0.utf8) }
        if before == bytes { return false }
        if let bytes { try EngineFolder.write(bytes, to: path, by: folder.draft) } else { try? removeFile(path) }
        return before != nil
    }

    /// Has those who give names and addresses know what is gone.
    func reloadNames() {
        for number in changedNames {
            nameServers.reload(number, in: folder.names(number))
            strictNameServers.reload(number, in: folder.strictNames(number))
        }
        changedNames = []
        for server in nameViews.changed { viewServers.reload(server, in: folder.viewNames(server)) }
        nameViews.changed = []
    }
}
