import AgentProtocol
import FabricProtocol
import Networks

/// From where to where a packet is to go, and to whom its machine hands it.
struct TraceRoute {
    /// Where one end is, as far as it is in the fabric.
    struct End {
        var address: IPAddress
        var machine: MachineRecord?
        var interface: AssignedInterface?
        var network: NetworkRecord?
    }

    var source: End
    var destination: End
    /// Whom the machine hands it; nil: nobody is there, and why.
    var nextStation: [UInt8]?
    var hindrance = ""
}

/// Finds routes, among machines and networks as they are written down.
struct TraceRoutes {
    let store: MachineStore
    let networks: [NetworkRecord]
    /// Those that run.
    let running: [MachineRecord]
    let interfaces: (MachineRecord) -> [AssignedInterface]

    /// - Parameters:
    ///   - from: `MACHINE` or `MACHINE:INTERFACE`.
    ///   - to: a machine, a network, an address, or a name of the fabric.
    func find(from: String, to: String) throws(FleetError) -> TraceRoute {
        let (record, own) = try source(from)
        return try find(from: record, own, to: to)
    }

    /// The machine, and the interfaces of it by one of which it is to go.
    func source(_ from: String) throws(FleetError) -> (record: MachineRecord, own: [AssignedInterface]) {
        let halves = from.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let record = try store.findRunning(halves[0])
        let own = plugged(record)
        guard !own.isEmpty else {
            throw FleetError(
                .invalidSetting,
                "\"\(record.name)\" is in no network; it is with --network NAME (swiftlet network create NAME), or at once by swiftlet network connect NAME \(record.name)"
            )
        }
        guard halves.count == 2 else { return (record, own) }
        let chosen = own.filter { $0.guestName == halves[1] || $0.place == halves[1] }
        guard !chosen.isEmpty else {
            let names = own.map { "\(record.name):\($0.guestName)" }.joined(separator: ", ")
            throw FleetError(
                .invalidSetting, "\"\(record.name)\" has no interface \"\(halves[1])\" in a network; there is \(names)")
        }
        return (record, chosen)
    }

    /// - Parameter own: the interfaces by one of which it is to go.
    func find(from record: MachineRecord, _ own: [AssignedInterface], to: String) throws(FleetError) -> TraceRoute {
        let destination = try self.destination(to, of: record, own)
        let interface = leading(to: destination, of: record, own)
        guard let network = network(of: interface) else {
            throw FleetError(.damagedRecord, "the network of \(record.name):\(interface.guestName) cannot be read")
        }
        if let words = Self.nobody(destination.address, in: network) {
            throw FleetError(
                .invalidSetting, "\(destination.address) \(words); a packet that is traced goes to an address of one")
        }
        let addresses = interface.guestAddresses.compactMap { IPAddress($0.address) }
        guard let address = addresses.first(where: { $0.family == destination.address.family }) else {
            throw FleetError(
                .invalidSetting,
                "\"\(record.name)\" has no address of \(Self.family(destination.address)) in \"\(network.name)\", and \(destination.address) is one"
            )
        }
        let source = TraceRoute.End(address: address, machine: record, interface: interface, network: network)
        guard source.address != destination.address else {
            throw FleetError(
                .invalidSetting, "\(destination.address) is \"\(record.name)\" itself; nothing goes over a wire")
        }
        return handing(TraceRoute(source: source, destination: destination))
    }

    /// What an address means that is nobody's own; nil: it may be somebody's.
    /// - Parameter network: that the packet begins in.
    private static func nobody(_ address: IPAddress, in network: NetworkRecord) -> String? {
        let bytes = address.bytes
        if address.isUnspecified { return "is nobody's" }
        if address.family == .v4 {
            let broadcasts = network.addressing.compactMap(\.broadcast) + [IPAddress(v4: 255, 255, 255, 255)]
            if broadcasts.contains(address) { return "means every machine in \"\(network.name)\"" }
            if bytes[0] == 127 { return "is whoever sends to it, itself" }
            return (224...239).contains(bytes[0]) ? "means many at once" : nil
        }
        if address == IPAddress("::1") { return "is whoever sends to it, itself" }
        return bytes[0] == 0xff ? "means many at once" : nil
    }

    private static func family(_ address: IPAddress) -> String { address.family == .v4 ? "IPv4" : "IPv6" }

    private func plugged(_ record: MachineRecord) -> [AssignedInterface] {
        interfaces(record).filter { $0.portNumber != nil && $0.interface.network.fabricNetwork != nil }
    }

    func network(of interface: AssignedInterface) -> NetworkRecord? {
        networks.first { $0.name == interface.interface.network.fabricNetwork }
    }

    // MARK: Where it goes

    private func destination(
        _ name: String, of record: MachineRecord, _ own: [AssignedInterface]
    ) throws(FleetError) -> TraceRoute.End {
        if let address = IPAddress(name) { return holder(of: address, seenFrom: own) }
        if name.hasPrefix("@") { return try gateway(of: String(name.dropFirst()), seenFrom: own) }
        // As machines call one another.
        let parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        let isWhole = parts.count == 3 && parts[2] == "internal"
        let isNetwork = networks.contains { $0.name == name }
        if let machine = machine(isWhole ? parts[0] : name, in: isWhole ? parts[1] : nil) {
            guard !isNetwork else {
                throw FleetError(
                    .ambiguousReference,
                    "\"\(name)\" is a machine and a network; say @\(name) for the network's gateway, or the machine's address"
                )
            }
            return try end(at: machine, in: isWhole ? parts[1] : nil, of: record, own)
        }
        if isNetwork { return try gateway(of: name, seenFrom: own) }
        if let known = try? store.find(name) { _ = try store.findRunning(known.id) }
        throw FleetError(
            .unknownMachine,
            "no machine or network is called \"\(name)\"; `swiftlet ps` and `swiftlet network ls` show what there is"
        )
    }

    func machine(_ name: String, in network: String?) -> MachineRecord? {
        let candidates = running.filter { machine in
            network == nil || plugged(machine).contains { $0.interface.network.fabricNetwork == network }
        }
        return candidates.first { $0.name == name || $0.id == name }
            ?? candidates.first { $0.specification.hostName?.lowercased() == name.lowercased() }
    }

    /// By an address of a kind that the machine has, where there is one.
    private func gateway(of name: String, seenFrom own: [AssignedInterface]) throws(FleetError) -> TraceRoute.End {
        guard let network = networks.first(where: { $0.name == name }) else {
            throw FleetError(
                .unusableNetwork, "there is no network \"\(name)\"; `swiftlet network ls` shows what there is")
        }
        let families = Self.families(of: own)
        let addresses = network.gatewayAddresses
        guard let address = addresses.first(where: { families.contains($0.family) }) ?? addresses.first else {
            throw FleetError(
                .invalidSetting, "nobody leads out of \"\(name)\", so it has no gateway (network create --gateway)")
        }
        return holder(of: address, in: [network])
    }

    /// Of a machine in several networks the one that both are in counts.
    private func end(
        at machine: MachineRecord, in network: String?, of record: MachineRecord, _ own: [AssignedInterface]
    ) throws(FleetError) -> TraceRoute.End {
        let near = own.compactMap(\.interface.network.fabricNetwork)
        let theirs = plugged(machine).filter { network == nil || $0.interface.network.fabricNetwork == network }
        let chosen = theirs.first { near.contains($0.interface.network.fabricNetwork ?? "") } ?? theirs.first
        let families = Self.families(of: own)
        let addresses = chosen?.guestAddresses.compactMap { IPAddress($0.address) } ?? []
        guard let chosen, let address = addresses.first(where: { families.contains($0.family) }) ?? addresses.first
        else {
            throw FleetError(
                .invalidSetting,
                "\"\(machine.name)\" has no address in a network; say one that \"\(record.name)\" is to reach")
        }
        return TraceRoute.End(
            address: address, machine: machine, interface: chosen, network: self.network(of: chosen))
    }

    private static func families(of own: [AssignedInterface]) -> [IPAddress.Family] {
        own.flatMap(\.guestAddresses).compactMap { IPAddress($0.address)?.family }
    }

    /// Networks that machines lead out of may all have the same addresses: there those count that the packet begins in.
    private func holder(of address: IPAddress, seenFrom own: [AssignedInterface]) -> TraceRoute.End {
        let near = own.compactMap { network(of: $0) }
        let found = holder(of: address, in: near)
        return found.network != nil ? found : holder(of: address, in: networks.filter(\.isRouted))
    }

    func holder(of address: IPAddress, in networks: [NetworkRecord]) -> TraceRoute.End {
        for network in networks where network.addressing.contains(where: { $0.contains(address) }) {
            for machine in running {
                for interface in plugged(machine)
                where interface.interface.network.fabricNetwork == network.name
                    && interface.guestAddresses.contains(where: { IPAddress($0.address) == address })
                {
                    return TraceRoute.End(address: address, machine: machine, interface: interface, network: network)
                }
            }
            return TraceRoute.End(address: address, network: network)
        }
        return TraceRoute.End(address: address)
    }

    /// The interface in whose network it is; otherwise the one by which the machine reaches others.
    private func leading(
        to destination: TraceRoute.End, of record: MachineRecord, _ own: [AssignedInterface]
    ) -> AssignedInterface {
        func isNear(_ interface: AssignedInterface) -> Bool {
            network(of: interface)?.addressing.contains { $0.contains(destination.address) } ?? false
        }
        let routing = store.routingInterface(of: record, store.attachments(of: record))
        return own.first(where: isNear) ?? own.first { $0 == routing } ?? own[0]
    }

    /// Whom its machine hands it: the one that has the address, where that is in the same network, or who leads out.
    func handing(_ route: TraceRoute) -> TraceRoute {
        var route = route
        guard let network = route.source.network else { return route }
        let target = route.destination.address
        let prefix = network.addressing.first { $0.contains(target) }
        var next = target
        if prefix == nil {
            guard let way = network.gatewayAddresses.first(where: { $0.family == target.family }) else {
                route.hindrance = "nobody leads out of \(network.name) (network create --gateway)"
                return route
            }
            guard way != route.source.address else {
                route.hindrance =
                    "\(route.source.machine?.name ?? "the machine") itself leads out of \(network.name); say which of its interfaces sends"
                return route
            }
            next = way
        }
        if network.isRouted, network.addressing.contains(where: { $0.gateway == next }) {
            route.nextStation = network.fabricNetwork(nameServers: []).hardwareAddress
            return route
        }
        if let station = holder(of: next, in: [network]).interface?.hardwareAddress {
            route.nextStation = HardwareAddress.bytes(station)
            return route
        }
        let resting = store.machines(in: network.name).first { machine in
            machine.state.isOver
                && store.presentInterfaces(of: machine).contains { interface in
                    guard case .fabric(network.name, let addresses) = interface.network else { return false }
                    return addresses.contains { IPAddress($0.address) == next }
                }
        }
        let wanted = next == target ? "\(next)" : "\(next), the address that leads out of \(network.name)"
        route.hindrance =
            resting.map { "\($0.name), which has \(wanted), does not run" } ?? "nobody in \(network.name) has \(wanted)"
        return route
    }
}
