public import AgentClient

extension MachineFleet {
    /// The connections of machines with what is not in their network, by machines, and those that carried most first. Between machines of
    /// one network nobody remembers any.
    /// - Parameter machine: of this one alone.
    public func flows(of machine: String?, signals: SignalWatcher) throws -> [Flow] {
        let wanted = try machine.map { reference throws(FleetError) in try store.findRunning(reference) }
        let records = store.list().filter { !$0.state.isOver }
        guard let launcher = try Launchers.running(store.paths), records.contains(where: \.isInFabric) else {
            return []
        }
        let fabric = FabricControl(launcher: launcher, store: store)
        var names: [String: String] = [:]
        for record in records {
            for interface in fabric.interfaces(of: record) where interface.interface.network.fabricNetwork != nil {
                for address in interface.guestAddresses { names[address.address] = record.name }
            }
        }
        let flows = try fabric.flows(signals: signals).compactMap { Flow($0, names: names) }
        return flows.filter { flow in
            let machines = [flow.source.machine, flow.destination.machine].compactMap { $0 }
            return wanted.map { machines.contains($0.name) } ?? !machines.isEmpty
        }.sorted { Self.key($0) < Self.key($1) }
    }

    private static func key(_ flow: Flow) -> (String, UInt64, String, UInt16) {
        let bytes = (flow.sent?.bytes ?? 0) &+ (flow.received?.bytes ?? 0)
        return (
            flow.source.machine ?? flow.destination.machine ?? "", .max - bytes, flow.destination.address,
            flow.source.port ?? 0
        )
    }
}
