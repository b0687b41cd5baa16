import AgentProtocol
import FabricProtocol
import FabricRules
import LinuxCalls

/// Published ports of an ordinary user's fabric: slirp4netns listens on them, and leads what comes to the fabric's end of the link.
///
/// What there is is asked each time: after it was killed it has none.
final class UserPublisher: PortPublisher {
    private let folder: EngineFolder
    private var slirp: Slirp { Slirp(folder) }
    /// Whether there may be any.
    private var mayLead = true

    init(_ folder: EngineFolder) { self.folder = folder }

    func hold(_ plan: FabricPlan, besides before: FabricPlan) throws(FabricFault) {
        try Self.check(plan)
        let wanted = Self.forwards(plan)
        if wanted.isEmpty { return }
        let known = Set(Self.forwards(before).map { $0.forward })
        let isKnown = wanted.allSatisfy { known.contains($0.forward) }
        if !Slirp.isInstalled, !isKnown { throw FabricFault(WayOutProgram.absence) }
        var taken: [Slirp.Forward] = []
        do throws(FabricFault) {
            let present = try slirp.forwards(waits: true)
            mayLead = true
            for (forward, published) in wanted where present[forward] == nil {
                // The same port with another way to its machine.
                for other in present where other.key.hasSamePlace(as: forward) { try slirp.remove(other.value) }
                if try slirp.add(forward) {
                    taken.append(forward)
                } else {
                    let fault = fault(forward, published)
                    guard known.contains(forward) else { throw fault }
                    EngineLog.write(fault.description)
                }
            }
        } catch {
            if let present = try? slirp.forwards() {
                for forward in taken { if let identifier = present[forward] { try? slirp.remove(identifier) } }
            }
            // What there was before comes back with it.
            if !isKnown { throw error }
            EngineLog.write(error.description)
        }
    }

    func letGo(_ plan: FabricPlan) {
        if !mayLead { return }
        let wanted = Set(Self.forwards(plan).map { $0.forward })
        guard let present = try? slirp.forwards() else { return }
        for (forward, identifier) in present where !wanted.contains(forward) { try? slirp.remove(identifier) }
        mayLead = !wanted.isEmpty
    }

    /// There are none outside.
    func setRules(_ plan: FabricPlan) throws(FabricFault) {}

    func leadFlows(_ ports: [FabricPort]) {
        do throws(LinuxError) { try PublishedFlows(ports, inner: [Slirp.inner]).endInside() } catch {
            EngineLog.write("datagrams for published ports may go on where they went before: \(error)")
        }
    }

    /// What it leads to has an address of IPv4.
    private static func check(_ plan: FabricPlan) throws(FabricFault) {
        for port in plan.ports {
            for published in port.published
            where !published.machines(among: port.addresses).contains(where: { $0.family == .v4 }) {
                throw FabricFault("without root, ports lead to machines by IPv4 alone, and \(published) does not")
            }
        }
    }

    private static func forwards(_ plan: FabricPlan) -> [(forward: Slirp.Forward, published: PublishedPort)] {
        PublishingRules.ways(of: plan.ports).filter { $0.machine.family == .v4 }.compactMap { way in
            let published = plan.ports.flatMap { $0.published }.first {
                $0.transport == way.transport && $0.onlyAddress == way.address && $0.ports.contains(way.port)
            }
            guard let published else { return nil }
            let forward = Slirp.Forward(
                transport: way.transport, address: way.address, port: way.port, carrier: way.carrier)
            return (forward, published)
        }
    }

    /// It does not say why it cannot have a port.
    private func fault(_ forward: Slirp.Forward, _ published: PublishedPort) -> FabricFault {
        let address = forward.address.map { "\($0):" } ?? ""
        let port = "port \(address)\(forward.port)/\(forward.transport.rawValue)"
        let outside = NamespaceHolder.find(folder).map { "\($0)" } ?? "thread-self"
        if PortHolder.isTaken(forward.port, isStream: forward.transport == .tcp, where: outside) {
            return FabricFault(
                "\(port) of this computer is taken; end what has it, or choose another port (\(published))")
        }
        if forward.port < 1024 {
            return FabricFault(
                "\(port) of this computer cannot be had: those below 1024 are root's; choose another port (\(published)), or as root: sysctl net.ipv4.ip_unprivileged_port_start=\(forward.port)"
            )
        }
        return FabricFault(
            "\(port) of this computer cannot be had: is that an address of this computer? (\(published))")
    }
}
