public import AgentProtocol
import FabricProtocol
import Glibc
public import Networks
import WireFormats

extension MachineFleet {
    /// Makes the fabric what it should be: what is missing is made, what is too much taken away.
    /// - Parameter report: told what is being done when it takes long, and what only a machine's next start mends.
    /// - Returns: how many wires of machines and networks there are then.
    public func repairNetworks(report: (String) -> Void) throws -> (wires: Int, networks: Int) {
        let fabric = FabricControl(launcher: try Launchers.choose(store.paths, report: report), store: store)
        let extent = try fabric.repair()
        for name in fabric.machinesCutOff() {
            report(
                "swiftlet: the monitor of \"\(name)\" is not at its wires, which were destroyed and made anew: it is in its networks again when it begins again (swiftlet restart \(name))"
            )
        }
        return extent
    }

    /// Whether networks are made by an ordinary user.
    var hasUsersFabric: Bool {
        guard geteuid() != 0, let launcher = try? Launchers.running(store.paths) else { return false }
        return !launcher.isEmulated
    }

    /// Has a network reach others, or reach them no more, at once where machines are in it.
    /// - Throws: leaving everything as it was.
    public func updateNetwork(
        _ name: String, reaching: [String], notReaching: [String]
    ) throws -> NetworkRecord {
        try store.networks.update(name, reaching: reaching, notReaching: notReaching) {
            let isUsed = store.machines(in: name).contains { !$0.state.isOver }
            guard isUsed, let launcher = try Launchers.running(store.paths) else { return }
            try FabricControl(launcher: launcher, store: store).tellReach(of: name)
        }
    }

    /// Removes a network that no machine is in, and takes it out of the fabric where that runs.
    public func removeNetwork(_ name: String, isForced: Bool) throws(NetworkError) {
        if let passage = store.readablePassages().first(where: { $0.networks.contains(name) }) {
            if passage.entries.isEmpty {
                let place = "between \(passage.networks[0]) and \(passage.networks[1])"
                throw NetworkError(
                    .inUse, "what goes \(place) is impaired; end that before: swiftlet impair \(place) --off")
            }
            let names = passage.entries.map(\.name).joined(separator: " ")
            throw NetworkError(
                .inUse,
                "there are appliances between the networks \"\(passage.networks[0])\" and \"\(passage.networks[1])\"; take them out before: swiftlet remove \(names)"
            )
        }
        try store.networks.remove(name, isForced: isForced) { store.machines(in: name).map(\.name) }
        guard let launcher = try? Launchers.running(store.paths) else { return }
        FabricControl(launcher: launcher, store: store).remove(network: name)
    }

    /// Why networks lead nowhere that are to lead out, as far as that is known before they are made.
    public var missingWayOut: String? {
        let isInstalled = unsafe access(WayOutProgram.path, X_OK) == 0
        return hasUsersFabric && !isInstalled ? WayOutProgram.absence : nil
    }

    /// Chains of this computer's rules that drop what goes out of networks, as `nft` is told them, and its switch for forwarding IPv6 where
    /// that is off. Asked of the fabric where it runs; of an ordinary user's fabric, what is missing instead.
    public func outsideHindrances(of families: [IPAddress.Family]) -> [String] {
        guard let launcher = try? Launchers.running(store.paths),
            let report = FabricControl(launcher: launcher, store: store).report()
        else { return [missingWayOut].compactMap { $0 } }
        let chains = report["outside_forbidden_by"]?.elements?.compactMap(\.text) ?? []
        let others = families.contains(.v4) ? families.contains(.v6) ? [] : ["ip6 "] : ["ip "]
        let switches = families.contains(.v6) ? [report["ipv6_forbidden_by"]?.text].compactMap { $0 } : []
        return chains.filter { chain in !others.contains(where: chain.hasPrefix) } + switches
    }
}
