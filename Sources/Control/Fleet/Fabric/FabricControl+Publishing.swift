import AgentProtocol
import EmulatedHost
import FabricProtocol

/// Ports of this computer that lead to machines. Those of the emulated host are its own; the emulator forwards this computer's to
/// them, of IPv4.
extension FabricControl {
    /// Where the machine's interfaces are plugged in. In the emulated host nobody tells addresses apart.
    /// - Parameter gone: those that it leaves.
    func ports(of record: MachineRecord, _ line: MachineLine, besides gone: [UInt16] = []) throws(FleetError)
        -> [FabricPort]
    {
        let present = interfaces(of: record).filter { interface in
            !gone.contains { $0 == interface.portNumber }
        }
        var ports = try record.fabricPorts(line, of: present)
        // A monitor that goes on from elsewhere opens these as well.
        for left in store.leftInterfaces(of: record) {
            if let number = left.portNumber { ports.append(.end(number)) }
        }
        if let published = store.publishedInterface(of: record, interfaces(of: record)),
            let place = ports.firstIndex(where: { $0.number == published.interface.portNumber })
        {
            ports[place].published = record.specification.published
            ports[place].hidesVisitors = !published.answers
        }
        // As they are now: the record may have been read before they were changed.
        let changed = MachineStore.changedEgress(in: store.folder(record.id))
        if let rules = changed.map(\.rules) ?? record.specification.egress {
            for place in ports.indices where ports[place].network != nil {
                ports[place].egress = EgressPolicy(rules, log: store.egressLog(of: record))
            }
        }
        guard launcher.isEmulated else { return ports }
        for port in ports.indices {
            for place in ports[port].published.indices where ports[port].published[place].address?.family == .v4 {
                ports[port].published[place].address = IPAddress(v4: 0, 0, 0, 0)
            }
        }
        return ports
    }

    /// Those that are plugged in.
    func interfaces(of record: MachineRecord) -> [AssignedInterface] {
        let attachments = store.attachments(of: record)
        let coming = restored?.machine == record.id ? restored?.attachments ?? [] : []
        return store.plugged(record, attachments + coming.filter { old in !attachments.contains { $0.id == old.id } })
    }

    /// Takes ports of a machine that goes on running out; what is published leads to another one of its interfaces.
    func unplug(_ ports: [UInt16], of record: MachineRecord) throws(FleetError) {
        try store.withNetworkLock(isExclusive: false) { () throws(FleetError) in
            var change = FabricChange()
            change.removedPorts = ports
            change.ports = try self.ports(of: record, store.line(of: record), besides: ports)
                .filter { !ports.contains($0.number) }
            change.networks = try networks(of: change.ports)
            try carryOut(change, startsEngine: false)
        }
    }

    /// Has the published ports of a machine that is plugged in be those that its record says.
    /// - Parameter before: those that there were.
    func publish(_ record: MachineRecord, insteadOf before: [PublishedPort]) throws(FleetError) {
        let wanted = record.specification.published
        try plugAsWritten(record)
        do throws(FleetError) { try forward(wanted.filter { !before.contains($0) }) } catch {
            var old = record
            old.specification.published = before
            try? plugAsWritten(old)
            throw error
        }
        stopForwarding(before.filter { !wanted.contains($0) })
    }

    /// - Throws: having forwarded nothing.
    func forward(_ published: [PublishedPort]) throws(FleetError) {
        guard launcher.isEmulated else { return }
        if let one = published.first(where: { $0.address?.family == .v6 }) {
            throw FleetError(
                .unusableNetwork,
                "\(one) cannot be published from the emulated host, to which this computer's ports of IPv4 alone are forwarded; leave the address out, or choose one of IPv4"
            )
        }
        let settings = try Launchers.hostSettings(store.paths)
        do throws(HostError) { try EmulatedHost(settings).forward(Self.forwards(published)) } catch {
            throw FleetError(.unusableNetwork, error.message)
        }
    }

    func stopForwarding(_ published: [PublishedPort]) {
        guard launcher.isEmulated, let settings = try? Launchers.hostSettings(store.paths) else { return }
        EmulatedHost(settings).stopForwarding(Self.forwards(published))
    }

    /// What machines that were killed have left: it would lead to whoever has the port inside now, past the address that this one
    /// is published on.
    func stopStrayForwards() {
        guard launcher.isEmulated, let settings = try? Launchers.hostSettings(store.paths) else { return }
        let wanted = store.list().filter { !$0.state.isOver }.flatMap { Self.forwards($0.specification.published) }
        EmulatedHost(settings).stopForwarding(besides: Set(wanted))
    }

    private static func forwards(_ published: [PublishedPort]) -> [PortForward] {
        published.filter { $0.transport == .tcp && $0.families.contains(.v4) }.flatMap { one in
            one.ports.map { PortForward(address: one.onlyAddress?.description, port: $0) }
        }
    }
}
