import AgentProtocol
import FabricProtocol
import FabricRules
import LinuxCalls
import Wiring

extension Engine {
    /// The port's links, made or put right, with nothing joined yet.
    func make(_ port: FabricPort, in plan: FabricPlan) throws(FabricFault) {
        if port.joined != nil { return try makePassage(port, in: plan) }
        do throws(LinuxError) {
            let tap = ByteString(port.tap)
            var known: [ByteString] = []
            if try links.find(tap) == nil { try TapDevices.make(tap, owner: port.owner) } else { known.append(tap) }
            guard let network = port.network.flatMap(plan.network) else { return }
            let (end, bridgePort) = (ByteString(port.wireEnd), ByteString(port.bridgePort))
            if try links.find(end) == nil { try links.makePair(end, peer: bridgePort) } else { known.append(end) }
            guard let bridge = try links.find(ByteString(network.bridge)), let present = try links.find(bridgePort)
            else { throw .noDevice }
            let unit = network.maximumTransmissionUnit
            for name in [tap, end] {
                guard let link = try links.find(name) else { throw .noDevice }
                // The kernel would tell the other side of groups that it is in. Of a new one it does not.
                if known.contains(name),
                    let file = try? open("/proc/sys/net/ipv6/conf/\(name)/disable_ipv6", .writeOnly)
                {
                    try writeAll(file.number, "1")
                }
                if link.maximumTransmissionUnit != unit { try links.set(link.index, maximumTransmissionUnit: unit) }
            }
            if present.master != bridge.index { try links.set(present.index, master: bridge.index) }
            try links.setPort(present.index, isIsolated: network.isPrivate && network.prefixes(ledBy: port).isEmpty)
            try links.set(present.index, isUp: true, maximumTransmissionUnit: unit)
        } catch {
            throw FabricFault("port \(port.number) cannot be made: \(error)")
        }
        if let network = port.network.flatMap(plan.network) {
            try makeStretch(port, maximumTransmissionUnit: network.maximumTransmissionUnit)
        }
    }

    /// Takes the links of ports away, all at once, and their names.
    func remove(_ ports: [FabricPort]) throws(FabricFault) {
        if ports.isEmpty { return }
        do throws(LinuxError) {
            var gone: [UInt32] = []
            for port in ports {
                for name in port.network == nil ? [port.tap] : [port.tap, port.wireEnd] {
                    if let link = try links.find(ByteString(name)) { gone.append(link.index) }
                }
            }
            try links.remove(gone)
        } catch {
            throw FabricFault(
                "\(ports.count == 1 ? "port \(ports[0].number)" : "ports") cannot be taken away: \(error)")
        }
        removeNames(of: ports)
    }
}
