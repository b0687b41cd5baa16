import AgentClient
import AgentProtocol
import HostFiles

/// Where a machine that runs leads, after it was taken out of what led elsewhere.
struct DefaultRoutes {
    private static let families: [IPAddress.Family] = [.v4, .v6]
    private var before: [IPAddress.Family: AssignedInterface] = [:]

    init(_ record: MachineRecord, in store: MachineStore) {
        let attachments = store.attachments(of: record)
        for family in Self.families {
            before[family] = store.routingInterface(of: record, attachments, family)
        }
    }

    /// Has what is left lead where nothing leads any more, in the order in which it came.
    /// - Parameter attachments: those that are left; who leads now is noted there.
    /// - Returns: whom the guest is to be told of, with the families.
    func taken(
        over record: MachineRecord, in store: MachineStore, _ attachments: inout [DeviceAttachment]
    ) -> [(interface: AssignedInterface, families: [IPAddress.Family])] {
        var told: [(interface: AssignedInterface, families: [IPAddress.Family])] = []
        for family in Self.families {
            guard let old = before[family] else { continue }
            if store.routingInterface(of: record, attachments, family) == nil,
                let place = attachments.firstIndex(where: { $0.assignedInterface?.leads(family) ?? false })
            {
                attachments[place].hasDefaultRoute = true
            }
            guard let next = store.routingInterface(of: record, attachments, family), next != old else { continue }
            if let place = told.firstIndex(where: { $0.interface == next }) {
                told[place].families.append(family)
            } else {
                told.append((next, [family]))
            }
        }
        return told
    }
}

extension MachineRemote {
    /// Has the guest lead its default routes through what is left. One that does not answer has none until it begins again.
    func lead(insteadOf routes: DefaultRoutes) {
        var attachments = store.attachments(of: record)
        let told = routes.taken(over: record, in: store, &attachments)
        guard !told.isEmpty, let agent = try? connect() else { return }
        do {
            for (interface, families) in told {
                // The guest has it, and its addresses, which may be said again.
                var again = interface.forAttaching(hasDefaultRoute: false)
                again.newName = ""
                again.routes.removeAll { route in !families.contains { $0 == route.gateway?.family } }
                let device = AttachedDevice.interface(hardwareAddress: interface.hardwareAddressBytes)
                try agent.send(.attach(Attachment(device, interfaces: [again])), id: 3)
                _ = try agent.answer(to: 3, until: Deadline(afterMilliseconds: 10_000))
            }
            try store.write(attachments, of: record)
        } catch {
            // It is out of the network either way.
        }
    }
}
