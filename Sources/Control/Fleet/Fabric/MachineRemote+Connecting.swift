import AgentClient
import AgentProtocol
import FabricProtocol
import Networks

extension MachineRemote {
    /// Puts a machine into a network, from now on: one that runs at once, others when they begin.
    /// - Parameter interface: in a network of the fabric.
    /// - Returns: what it has there.
    public static func connect(
        _ interface: MachineInterface, to reference: String, in store: MachineStore
    ) throws -> MachineInterface {
        let found = try store.find(reference)
        return try store.withLimitsLock(found) {
            let record = try store.find(found.id)
            let network = interface.network.fabricNetwork ?? ""
            guard !store.presentInterfaces(of: record).contains(where: { $0.network.fabricNetwork == network }) else {
                throw FleetError(
                    .unusableNetwork, "the machine \"\(record.name)\" is in the network \"\(network)\" already")
            }
            try store.checkSettled(record)
            guard !record.state.isOver else { return try store.declare(interface, of: record) }
            var own = interface
            own.hardwareAddress = own.hardwareAddress ?? store.freeHardwareAddress(of: record)
            let attached = try MachineRemote(record, store: store).attach(.interface(own))
            guard let assigned = attached.interface, let number = attached.networkNumber, record.boots else {
                return attached.interface ?? own
            }
            var declared = store.declaredInterfaces(of: record) ?? DeclaredInterfaces(record)
            declared.add(assigned, number: number)
            try declared.write(to: store.folder(record.id))
            return assigned
        }
    }

    /// Takes a machine out of a network, from now on.
    public static func disconnect(
        _ network: String, from reference: String, in store: MachineStore, isForced: Bool
    ) throws {
        let found = try store.find(reference)
        try store.withLimitsLock(found) {
            let record = try store.find(found.id)
            try store.checkSettled(record)
            try store.checkLeaving(network, record)
            let isRunning = !record.state.isOver
            if isRunning,
                let own = store.attachments(of: record).first(where: { $0.interface?.network.fabricNetwork == network })
            {
                return try MachineRemote(record, store: store).detach(own.id, isForced: isForced)
            }
            guard isRunning || record.boots else { throw store.goesOn(record) }
            let (plugged, routes) = (store.pluggedInterfaces(of: record), DefaultRoutes(record, in: store))
            // First: whoever mends what a killed command has left finds what was wanted.
            let before = store.declaredInterfaces(of: record)
            var declared = before ?? DeclaredInterfaces(record)
            declared.remove(network)
            try declared.write(to: store.folder(record.id))
            guard isRunning else { return }
            do {
                let remote = MachineRemote(record, store: store)
                try remote.takeOut(network, insteadOf: routes, isForced: isForced)
                remote.tellNames(insteadOf: plugged)
            } catch {
                if let before {
                    try? before.write(to: store.folder(record.id))
                } else {
                    DeclaredInterfaces.remove(from: store.folder(record.id))
                }
                throw error
            }
        }
    }

    /// Of an interface that the machine began with: its device stays with the monitor, and nobody is behind it any more.
    private func takeOut(_ network: String, insteadOf routes: DefaultRoutes, isForced: Bool) throws {
        guard
            let own = record.interfaces.first(where: { $0.interface.network.fabricNetwork == network }),
            let number = own.portNumber
        else { return }
        do {
            let agent = try connect()
            let device = AttachedDevice.interface(hardwareAddress: own.hardwareAddressBytes)
            try agent.send(.detach(Detachment(device, isForced: isForced)), id: 1)
            _ = try agent.answer(to: 1, until: Deadline(afterMilliseconds: isForced ? 10_000 : 60_000))
        } catch {
            guard isForced else { throw error }
        }
        lead(insteadOf: routes)
        try fabric?.unplug([number], of: record)
    }

    /// Where the machine runs; nil where the emulated host is gone.
    var fabric: FabricControl? {
        get throws { try Launchers.running(store.paths).map { FabricControl(launcher: $0, store: store) } }
    }
}

extension MachineStore {
    /// What is written down for one that is about to run again may come too late for that, and would be said to be so.
    fileprivate func checkSettled(_ record: MachineRecord) throws(FleetError) {
        guard record.state == .restarting else { return }
        throw FleetError(
            .notRunning,
            "the program of \"\(record.name)\" has ended and is about to be run again; try once more when it runs, or stop the machine before: swiftlet stop \(record.name)"
        )
    }

    fileprivate func goesOn(_ record: MachineRecord) -> FleetError {
        FleetError(
            .unusableNetwork,
            "the machine \"\(record.name)\" goes on where it stands, with the networks that it has there; let it run before: swiftlet \(record.state == .suspended ? "resume" : "start") \(record.name)"
        )
    }

    /// Writes down that a machine that does not run is in a network when it begins.
    fileprivate func declare(_ interface: MachineInterface, of record: MachineRecord) throws -> MachineInterface {
        guard record.boots else { throw goesOn(record) }
        let lock: NetworkLock
        do throws(NetworkError) { lock = try networks.lock() } catch { throw FleetError(error) }
        defer { extendLifetime(lock) }
        var own = interface
        own.hardwareAddress = own.hardwareAddress ?? freeHardwareAddress(of: record)
        var declared = declaredInterfaces(of: record) ?? DeclaredInterfaces(record)
        try assignAddresses(to: &own, besides: declared.interfaces[...])
        var generator = SystemRandomNumberGenerator()
        guard let number = try freeNetworkNumbers(1, using: &generator).first else { return own }
        declared.add(own, number: number)
        var all = record.specification
        all.interfaces = declared.interfaces
        try all.check()
        try declared.write(to: folder(record.id))
        return own
    }

    /// One of the machine's own that none of its interfaces has.
    fileprivate func freeHardwareAddress(of record: MachineRecord) -> String? {
        let taken = Set(
            record.interfaces.map(\.hardwareAddress) + attachments(of: record).compactMap(\.hardwareAddress)
                + presentInterfaces(of: record).compactMap(\.hardwareAddress))
        return (2 * MachineSpecification.mostInterfaces..<256).lazy.map { record.ownHardwareAddress($0) }
            .first { !taken.contains($0) }
    }

    fileprivate func checkLeaving(_ network: String, _ record: MachineRecord) throws {
        let present = presentInterfaces(of: record)
        guard present.contains(where: { $0.network.fabricNetwork == network }) else {
            let names = Set(present.compactMap(\.network.fabricNetwork)).sorted().joined(separator: ", ")
            throw FleetError(
                .unusableNetwork,
                "the machine \"\(record.name)\" is not in the network \"\(network)\""
                    + (names.isEmpty ? "; it is in none" : "; it is in \(names)"))
        }
        let others = present.contains {
            $0.network.fabricNetwork != nil && $0.network.fabricNetwork != network && $0.gateways == nil
        }
        guard record.specification.published.isEmpty || others else {
            throw FleetError(
                .unusableNetwork,
                "ports of this computer lead to \"\(record.name)\" in the network \"\(network)\"; take them away before: swiftlet unpublish --all \(record.name)"
            )
        }
        let line = try line(of: record)
        for interface in wiredInterfaces(of: record) where interface.interface.network.fabricNetwork == network {
            if line.impairment(interface) != nil {
                let wire = "\(record.name):\(interface.guestName)"
                throw FleetError(
                    .unusableNetwork, "the wire \(wire) is impaired; end that before: swiftlet impair \(wire) --off")
            }
            guard let entry = line.entries(interface).first else { continue }
            throw FleetError(
                .unusableNetwork,
                "\"\(entry.name)\" is in the wire of \"\(record.name)\" there; take it out before: swiftlet remove \(entry.name)"
            )
        }
    }
}
