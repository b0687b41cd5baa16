import AgentClient
import AgentProtocol
import FoundationEssentials
import HostFiles
import LinuxCalls
import Networks

extension MachineRemote {
    /// A volume that is used for the first time may get many files.
    private static let patienceMilliseconds: UInt64 = 600_000

    /// Gives a machine that runs a disk, a volume or a network interface, and has its guest take it.
    ///
    /// It is the machine's until it is detached, or the machine boots anew.
    /// - Returns: what it has become, with the guest's name for it.
    /// - Throws: leaving the machine as it was.
    public static func attach(
        _ device: DeviceAttachment.Device, to reference: String, in store: MachineStore
    ) throws -> DeviceAttachment {
        let found = try store.findRunning(reference)
        return try store.withLimitsLock(found) {
            let record = try store.findRunning(found.id)
            return try MachineRemote(record, store: store).attach(device)
        }
    }

    /// Takes away what was attached.
    /// - Parameter isForced: also when the guest uses it, or does not answer.
    public static func detach(
        _ name: String, from reference: String, in store: MachineStore, isForced: Bool
    ) throws {
        let found = try store.findRunning(reference)
        try store.withLimitsLock(found) {
            let record = try store.findRunning(found.id)
            try MachineRemote(record, store: store).detach(name, isForced: isForced)
        }
    }

    func attach(_ device: DeviceAttachment.Device) throws -> DeviceAttachment {
        // Before anything is made: one that is paused could not take it.
        let agent = try connect()
        let before = store.attachments(of: record)
        let plugged = store.plugged(record, before)
        // Until the addresses that are chosen are written down.
        var addresses: NetworkLock?
        if case .interface(let interface) = device, interface.network.fabricNetwork != nil {
            do throws(NetworkError) { addresses = try store.networks.lock() } catch { throw FleetError(error) }
        }
        var attachment = try describe(device, besides: before)
        let fleet = MachineFleet(store.paths)
        var isUnfilled = false
        var lock: DiskLock?
        if let disk = attachment.disk {
            lock = try fleet.hold([disk]).first
            if case .volume(let volume) = attachment.device {
                let volumes = VolumeStore(store.paths)
                try volumes.checkUsable(volume)
                isUnfilled = try !volume.isReadOnly && !volumes.find(volume.name).isFilled
            }
        }
        defer { extendLifetime(lock) }
        if let interface = attachment.assignedInterface {
            try MachineFleet.check(interface.interface.network, isEmulated: record.isEmulated)
        }
        // First: whoever finds it there when this process has been killed can take it away.
        try store.write(before + [attachment], of: record)
        extendLifetime(addresses)
        addresses = nil
        do {
            if attachment.isInFabric { try fabric?.plugAsWritten(record) }
            attachment.slot = try hand(attachment, lock?.descriptor.number)
            attachment.guestName = try tell(agent, attachment, fills: isUnfilled)
            try store.write(before + [attachment], of: record)
            try forgetLimits(of: attachment.guestName)
            tellNames(insteadOf: plugged)
        } catch {
            try? agent.send(.detach(Detachment(attachment.forAgent, isForced: true)), id: 2)
            _ = try? agent.answer(to: 2, until: Deadline(afterMilliseconds: 10_000))
            try? control.detach(attachment.id)
            try? store.write(before, of: record)
            try? unplug(attachment)
            throw error
        }
        if isUnfilled, case .volume(let volume) = attachment.device {
            try VolumeStore(store.paths).markFilled(volume.name)
        }
        return attachment
    }

    /// What can be known before anything is opened.
    private func describe(
        _ device: DeviceAttachment.Device, besides before: [DeviceAttachment]
    ) throws -> DeviceAttachment {
        var number = 0
        while before.contains(where: { $0.number == number }) { number += 1 }
        var attachment = DeviceAttachment(number, device)
        switch device {
        case .disk: break
        case .volume(let volume): attachment.device = .volume(try VolumeStore(store.paths).prepare(volume))
        case .interface(let interface):
            if interface.network == .wire {
                throw FleetError(
                    .unusableNetwork,
                    "an appliance has its ends for wires from its start; make it with --network wire, once for each")
            }
            if let network = interface.network.fabricNetwork,
                store.pluggedInterfaces(of: record).contains(where: { $0.interface.network.fabricNetwork == network })
            {
                throw FleetError(
                    .unusableNetwork, "the machine \"\(record.name)\" is in the network \"\(network)\" already")
            }
            var all = record.specification
            all.interfaces += before.compactMap(\.assignedInterface?.interface) + [interface]
            try all.checkInterfaces()
            try all.checkEgress()
            var own = interface
            try store.assignAddresses(to: &own, besides: store.presentInterfaces(of: record)[...])
            attachment.device = .interface(own)
            if interface.network.isOwn {
                var generator = SystemRandomNumberGenerator()
                attachment.networkNumber = try store.freeNetworkNumbers(1, using: &generator).first
            }
            attachment.hardwareAddress = record.hardwareAddress(of: attachment)
            if !store.hasDefaultRoute(record, before), attachment.assignedInterface?.gateways.isEmpty == false {
                attachment.hasDefaultRoute = true
            }
        }
        if let disk = attachment.disk {
            let present = record.specification.allDisks + before.compactMap(\.disk)
            if present.contains(where: { MachineFleet.areSame($0, disk) }) {
                throw FleetError(
                    .unusableDisk,
                    "the machine \"\(record.name)\" has the disk \(disk.path) already; it is attached once")
            }
        }
        return attachment
    }

    /// Has the monitor make a device of it.
    /// - Returns: the place that it is in.
    private func hand(_ attachment: DeviceAttachment, _ descriptor: Int32?) throws -> Int? {
        guard
            let fields = attachment.monitorFields(record.specification.limits, limitedAs: "", isOpenedByName: false)
        else { return nil }
        let (resource, file): (String, MonitorHandOver.File)
        if let disk = attachment.disk {
            (resource, file) = ("/swiftlet/attach-drive", .disk(disk, descriptor))
        } else {
            let interface = attachment.assignedInterface
            resource = "/swiftlet/attach-interface"
            file = .tap(interface?.hostDevice ?? "", address: interface?.hostAddress?.description)
        }
        var monitor = try MonitorHandOver(record, store: store)
        // Its device is seen there alone.
        if attachment.isInFabric { monitor.entrance = try fabric?.entrance ?? [] }
        let answer = try monitor.order(resource, "{\(fields)}", file)
        struct Place: Decodable { var slot: Int }
        return (try? JSONDecoder().decode(Place.self, from: Data(answer)))?.slot
    }

    /// Has the guest take it.
    private func tell(_ agent: AgentConnection, _ attachment: DeviceAttachment, fills: Bool) throws -> String {
        var message = Attachment(attachment.forAgent)
        switch attachment.device {
        case .disk: break
        case .volume(let volume):
            message.mounts = [MachineSpecification.mount(volume, of: "", fills: fills)]
        case .interface:
            message.interfaces =
                attachment.assignedInterface.map {
                    [$0.forAttaching(hasDefaultRoute: attachment.hasDefaultRoute != true)]
                } ?? []
        }
        try agent.send(.attach(message), id: 1)
        let deadline = Deadline(afterMilliseconds: Self.patienceMilliseconds)
        guard case .attached(let name) = try agent.answer(to: 1, until: deadline) else {
            throw AgentClientError(.malformed, "the guest's agent gave another answer than was asked for")
        }
        return name.description
    }

    func detach(_ name: String, isForced: Bool) throws {
        let before = store.attachments(of: record)
        let (plugged, routes) = (store.plugged(record, before), DefaultRoutes(record, in: store))
        guard let attachment = before.first(where: { $0.isCalled(name) }) else {
            throw FleetError(.invalidSetting, unknown(name, before))
        }
        do {
            let agent = try connect()
            try agent.send(.detach(Detachment(attachment.forAgent, isForced: isForced)), id: 1)
            _ = try agent.answer(to: 1, until: Deadline(afterMilliseconds: isForced ? 10_000 : 60_000))
        } catch {
            guard isForced else { throw error }
        }
        if let network = attachment.interface?.network.fabricNetwork, record.boots,
            var declared = store.declaredInterfaces(of: record)
        {
            declared.remove(network)
            try declared.write(to: store.folder(record.id))
        }
        do throws(FleetError) { try control.detach(attachment.id) } catch {
            // One that was never handed over, because the process that wanted to was killed.
            if attachment.guestName != nil { throw error }
        }
        try store.write(before.filter { $0 != attachment }, of: record)
        lead(insteadOf: routes)
        try unplug(attachment)
        if attachment.isInFabric { tellNames(insteadOf: plugged) }
        try forgetLimits(of: attachment.guestName)
    }

    private func unplug(_ attachment: DeviceAttachment) throws {
        guard attachment.isInFabric, let port = attachment.assignedInterface?.portNumber else { return }
        try fabric?.unplug([port], of: record)
    }

    /// Those of one device of that name are no other's.
    private func forgetLimits(of name: String?) throws(FleetError) {
        guard let name else { return }
        var limits = record.specification.limits
        limits.forget(name)
        if limits != record.specification.limits { try store.write(limits, of: record) }
    }

    private func unknown(_ name: String, _ attachments: [DeviceAttachment]) -> String {
        let text = "nothing called \"\(name)\" has been attached to the machine \"\(record.name)\""
        let names = attachments.map { $0.guestName ?? $0.id }.joined(separator: ", ")
        return names.isEmpty
            ? text + "; what it was made with stays with it"
            : text + "; these have: \(names)"
    }
}

extension AssignedInterface {
    /// What the agent is told. The machine's default route, where it has one, stays.
    func forAttaching(hasDefaultRoute: Bool) -> Interface {
        var result = Interface(name: "new", newName: ByteString(interface.name ?? ""))
        result.addresses = guestAddresses.compactMap { own in
            IPAddress(own.address).map { .init($0, prefixLength: own.prefixLength) }
        }
        result.maximumTransmissionUnit = interface.maximumTransmissionUnit ?? 0
        if result.addresses.isEmpty || hasDefaultRoute { return result }
        result.routes = gateways.compactMap { gateway in
            IPAddress(networkOrder: [UInt8](repeating: 0, count: gateway.bytes.count)).map {
                .init(to: $0, prefixLength: 0, via: gateway)
            }
        }
        return result
    }
}

extension MonitorControl {
    func detach(_ id: String) throws(FleetError) { try order("PUT", "/swiftlet/detach", "{\"id\":\"\(id)\"}") }
}
