import AgentProtocol
import HostFiles

/// What had been attached to a machine that was written down, in machines that go on from there.
extension MachineRecord {
    /// The one that was asked for, or one of the machine's own.
    func hardwareAddress(of attachment: DeviceAttachment) -> String? {
        guard let interface = attachment.interface else { return nil }
        return interface.hardwareAddress
            ?? ownHardwareAddress(MachineSpecification.mostInterfaces + (attachment.number ?? 0))
    }

    /// Of a clone: what the original had, with networks and addresses of the clone's own.
    var clonedAttachments: [DeviceAttachment] {
        var numbers = networkNumbers.dropFirst(specification.interfaces.count { $0.network.isOwn }).makeIterator()
        return (specification.origin?.attachments ?? []).map { original in
            var own = original
            own.networkNumber = original.interface?.network.isOwn == true ? numbers.next() : nil
            own.hardwareAddress = hardwareAddress(of: original)
            return own
        }
    }

    /// What the guest is told of their interfaces: it has them already, by these names.
    var attachedInterfacesOfClone: [Interface] {
        let hasRoute = !guestInterfaces.allSatisfy(\.routes.isEmpty)
        // An earlier version has not written it down.
        let isKnown = clonedAttachments.contains { $0.hasDefaultRoute != nil }
        return clonedAttachments.compactMap { attachment in
            guard let assigned = attachment.assignedInterface, let name = attachment.guestName else { return nil }
            var interface = assigned.forAttaching(
                hasDefaultRoute: isKnown ? attachment.hasDefaultRoute != true : hasRoute)
            (interface.name, interface.newName) = (ByteString(name), "")
            interface.hardwareAddress = assigned.hardwareAddressBytes
            return interface
        }
    }
}

extension MachineStore {
    /// None of a machine that is not suspended.
    func suspendedAttachments(of record: MachineRecord) -> [DeviceAttachment] {
        guard record.state == .suspended else { return [] }
        return (try? Suspension.read(from: folder(record.id)))?.attachments ?? []
    }
}

extension OwnedMachine {
    /// What the machine has attached as it goes on from there, written down as if it came now.
    /// - Returns: with it what holds its disks until the machine runs; from then on what is written down does.
    func attachAgain(
        _ point: RestorePoint, isEmulated: Bool
    ) throws(FleetError) -> (attachments: [DeviceAttachment], locks: [DiskLock]) {
        let attachments =
            point.isClone ? record.clonedAttachments : try Suspension.read(from: folder).attachments ?? []
        guard !attachments.isEmpty else { return ([], []) }
        let fleet = MachineFleet(store.paths)
        for attachment in attachments {
            guard let interface = attachment.interface else { continue }
            try MachineFleet.check(interface.network, isEmulated: isEmulated)
            try checkNetwork(of: attachment)
        }
        do throws(VolumeError) {
            for attachment in attachments {
                guard case .volume(let volume) = attachment.device else { continue }
                try VolumeStore(store.paths).checkUsable(volume)
            }
        } catch {
            throw FleetError(.unusableDisk, error.message)
        }
        let locks = try fleet.hold(attachments.compactMap(\.disk))
        try store.write(attachments, of: record)
        return (attachments, locks)
    }

    /// The guest has the addresses of its network, which may be another machine's by now.
    private func checkNetwork(of attachment: DeviceAttachment) throws(FleetError) {
        guard let number = attachment.networkNumber else { return }
        for other in store.list() where !other.state.isOver && other.id != record.id {
            guard (other.networkNumbers + store.attachments(of: other).compactMap(\.networkNumber)).contains(number)
            else { continue }
            throw FleetError(
                .unusableNetwork,
                "the network of \"\(record.name)\" on \(attachment.guestName ?? attachment.id) is that of the machine \"\(other.name)\" by now; end that first: swiftlet stop \(other.name), or let this one boot anew: swiftlet resume --discard \(record.name)"
            )
        }
    }
}
