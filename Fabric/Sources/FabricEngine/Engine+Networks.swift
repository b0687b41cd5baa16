import AgentProtocol
import FabricProtocol
import LinuxCalls
import Wiring

extension Engine {
    /// The network's bridge with its addresses, made or put right.
    func make(_ network: FabricNetwork, in plan: FabricPlan) throws(FabricFault) {
        var isNew = false
        do throws(LinuxError) {
            let name = ByteString(network.bridge)
            let bridge: UInt32
            if let present = try links.find(name) {
                bridge = present.index
            } else {
                bridge = try links.makeBridge(name, hardwareAddress: network.hardwareAddress)
                isNew = true
                nameViews.newBridges.insert(network.name)
            }
            // An address of the link would be one of the fabric's.
            if let file = try? open("/proc/sys/net/ipv6/conf/\(name)/disable_ipv6", .writeOnly) {
                try writeAll(file.number, network.isRouted ? "0" : "1")
            }
            try links.set(bridge, isUp: true, maximumTransmissionUnit: network.maximumTransmissionUnit)
            let wanted = network.ownAddresses.map { Interface.Address($0.address, prefixLength: $0.prefix.length) }
            let present = try links.addresses(of: bridge)
            for address in present where !wanted.contains(address) && !Self.isOfLink(address) {
                try links.remove(address, from: bridge)
            }
            for address in wanted where !present.contains(address) { try links.add(address, to: bridge) }
        } catch {
            throw FabricFault("the network \(network.name) cannot be made: \(error)")
        }
        try nameServers.serve(network, plan.ports(in: network), in: folder.names(network), isBridgeNew: isNew)
        try serveStrictly(network, in: plan, isBridgeNew: isNew)
    }

    /// Has those machines of the network that may not reach everything be told the names that they may ask for.
    func serveStrictly(
        _ network: FabricNetwork, in plan: FabricPlan, isBridgeNew: Bool = false
    ) throws(FabricFault) {
        try strictNameServers.serveStrictly(
            network, plan.ports(in: network), in: folder.strictNames(network.number),
            names: folder.names(network).names, log: refusedNames.writing, isBridgeNew: isBridgeNew)
    }

    func remove(_ network: FabricNetwork) {
        nameServers.end(network.number)
        strictNameServers.end(network.number)
        folder.strictNames(network.number).remove()
        try? links.remove(ByteString(network.bridge))
        folder.names(network).remove()
    }

    /// A program has ended without being told to. One that gives names is started anew, unless it could not begin: the next
    /// change of its network, or a repair, tries that again.
    func programEnded(_ process: Int32) {
        if ruleSession.ended(process) { return }
        if viewServers.serves(process) { return viewServerEnded(process) }
        let isStrict = strictNameServers.serves(process)
        guard let ended = isStrict ? strictNameServers.ended(process) : nameServers.ended(process),
            let network = plan.networks.first(where: { $0.number == ended.number })
        else { return }
        EngineLog.write("the names of \(network.name) are \(ended.isWorthwhile ? "served anew" : "not served")")
        guard ended.isWorthwhile else { return }
        do throws(FabricFault) {
            if isStrict { return try serveStrictly(network, in: plan) }
            try nameServers.serve(network, plan.ports(in: network), in: folder.names(network))
        } catch {
            EngineLog.write(error.description)
        }
    }

    /// Whether the kernel gave it, for the link alone. Source: RFC 4291 §2.5.6.
    private static func isOfLink(_ address: Interface.Address) -> Bool {
        address.address.family == .v6 && address.address.bytes.starts(with: [0xfe, 0x80])
    }

    /// Takes away what has a name of the fabric's and is not in its plan.
    func removeStrangers(_ plan: FabricPlan) throws(FabricFault) {
        var wanted: Set<String> = []
        for network in plan.networks { wanted.insert(network.bridge) }
        for port in plan.ports {
            wanted.insert(port.tap)
            if port.network != nil { wanted.formUnion([port.wireEnd, port.bridgePort]) }
            if port.joined != nil { wanted.insert(port.upperEnd) }
            if stretches[port.number] != nil { wanted.formUnion(port.stretchEnds) }
        }
        do throws(LinuxError) {
            for link in try links.list() {
                let name = link.name.description
                if !wanted.contains(name), Self.isOwn(name) { try links.remove(link.name) }
            }
            let directory = try open(folder.path, [.readOnly, .directory])
            for name in try FileTree.names(in: directory.number) {
                guard let port = EngineFolder.port(ofStretchPage: name), stretches[port] == nil else { continue }
                try removeFile(folder.stretchPage(port))
            }
        } catch {
            throw FabricFault("what is left over cannot be taken away: \(error)")
        }
    }

    private static func isOwn(_ name: String) -> Bool {
        guard let first = name.utf8.first, "npqtuxy".utf8.contains(first), name.utf8.count > 1 else { return false }
        return name.utf8.dropFirst().allSatisfy { (0x30...0x39).contains($0) }
    }
}
