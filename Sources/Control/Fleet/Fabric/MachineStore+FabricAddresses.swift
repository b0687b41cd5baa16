import AgentProtocol
import FabricProtocol
import Networks

extension MachineStore {
    public var networks: NetworkStore { NetworkStore(data: paths.data) }

    /// The machines that are in a network of the fabric, those that do not run included: their addresses are theirs until
    /// they are removed.
    public func machines(in network: String) -> [MachineRecord] {
        list().filter { presentInterfaces(of: $0).contains { $0.network.fabricNetwork == network } }
    }

    /// Gives each interface in a network of the fabric its addresses, and has that written down before anybody else chooses.
    func withFabricAddresses<Result>(
        _ specification: MachineSpecification, _ body: (MachineSpecification) throws(FleetError) -> Result
    ) throws(FleetError) -> Result {
        let attached = (specification.origin?.attachments ?? []).compactMap(\.interface)
        guard (specification.interfaces + attached).contains(where: \.network.isInFabric) else {
            return try body(specification)
        }
        let lock: NetworkLock
        do throws(NetworkError) { lock = try networks.lock() } catch { throw FleetError(error) }
        defer { extendLifetime(lock) }
        try checkPublished(specification.published)
        var assigned = specification
        for place in assigned.interfaces.indices {
            try assignAddresses(to: &assigned.interfaces[place], besides: assigned.interfaces[..<place])
        }
        for (place, attachment) in (assigned.origin?.attachments ?? []).enumerated() {
            guard var interface = attachment.interface else { continue }
            let others = assigned.interfaces + (assigned.origin?.attachments ?? [])[..<place].compactMap(\.interface)
            try assignAddresses(to: &interface, besides: others[...])
            assigned.origin?.attachments?[place].device = .interface(interface)
        }
        // Where the networks lead is known only now.
        try assigned.checkPublished(assigned.interfaces + (assigned.origin?.attachments ?? []).compactMap(\.interface))
        return try body(assigned)
    }

    /// Those that it asks for, or free ones, if it is in a network of the fabric. The networks' lock is held.
    /// - Parameter own: the machine's others, also those that are not written down yet.
    func assignAddresses(
        to interface: inout MachineInterface, besides own: ArraySlice<MachineInterface> = []
    ) throws(FleetError) {
        guard case .fabric(let name, let wanted) = interface.network else { return }
        let present = list()
        do throws(NetworkError) {
            let network = try networks.find(name)
            try check(interface, in: network, among: present)
            for other in own {
                guard let name = other.network.fabricNetwork, name != network.name else { continue }
                try network.checkMeeting(try networks.find(name))
            }
            var taken: Set<IPAddress> = []
            for interface in present.flatMap(presentInterfaces) + own {
                guard case .fabric(name, let addresses) = interface.network else { continue }
                taken.formUnion(addresses.compactMap { IPAddress($0.address) })
            }
            let chosen = try network.addresses(wanted: wanted.compactMap { IPAddress($0.address) }, taken: taken)
            interface.network = .fabric(
                network: name,
                addresses: zip(chosen, network.addressing).map { InterfaceAddress($0, prefixLength: $1.length) })
            interface.maximumTransmissionUnit = network.maximumTransmissionUnit
            interface.gateways = network.gateways
        } catch {
            throw FleetError(error)
        }
    }

    /// Two machines with one hardware address would get each other's frames.
    private func check(
        _ interface: MachineInterface, in network: NetworkRecord, among others: [MachineRecord]
    ) throws(NetworkError) {
        guard let address = interface.hardwareAddress else { return }
        guard HardwareAddress.bytes(address) != network.fabricNetwork(nameServers: []).hardwareAddress else {
            throw NetworkError(
                .invalidSetting,
                "\(address) is the own hardware address of \"\(network.name)\"; choose another one (mac=)")
        }
        let holder = others.first { machine in
            machine.interfaces.contains {
                $0.interface.network.fabricNetwork == network.name && $0.hardwareAddress == address
            }
                || presentInterfaces(of: machine).contains {
                    $0.network.fabricNetwork == network.name && $0.hardwareAddress == address
                }
        }
        if let holder {
            throw NetworkError(
                .inUse,
                "the machine \"\(holder.name)\" has the hardware address \(address) in \"\(network.name)\"; choose another one (mac=), or none"
            )
        }
    }
}

extension FleetError {
    init(_ error: NetworkError) { self.init(error.code == .diskFull ? .diskFull : .unusableNetwork, error.message) }
}
