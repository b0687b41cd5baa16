import AgentProtocol
import WireFormats

/// What a fabric is to be. Looking something up, and changing one port, costs the same however many there are.
public struct FabricPlan: Sendable {
    public static let mostNetworks = 1024
    public static let mostPorts = 4096
    /// So that a request for all of it, with what is around it, can be read again.
    static let mostBytes = JSONParser.maximumBytes - 64

    /// By their names and numbers, each once.
    public private(set) var networks: [FabricNetwork] = []
    public private(set) var ports: [FabricPort] = []
    private var networkPlaces: [String: Int] = [:]
    private var portPlaces: [UInt16: Int] = [:]
    /// Which port has what there is once.
    private var holders = PortHoldings()
    /// Its length as JSON, without what is around networks and ports.
    private var bytes = 0
    private static let emptyBytes = FabricPlan().asChange.document.writtenBytes

    public init() {}

    public func network(_ name: String) -> FabricNetwork? { networkPlaces[name].map { networks[$0] } }
    public func port(_ number: UInt16) -> FabricPort? { portPlaces[number].map { ports[$0] } }
    public func ports(in network: FabricNetwork) -> [FabricPort] { ports.filter { $0.network == network.name } }

    /// The plan after the change.
    /// - Throws: what contradicts itself in it.
    public func after(_ change: FabricChange) throws(FabricFault) -> FabricPlan {
        var plan = change.isWhole ? FabricPlan() : self
        // All that is to be another is let go of before anything is taken: two may change places.
        var gone = change.removedPorts
        for port in change.ports { gone.append(port.number) }
        for number in gone { if let old = plan.port(number) { plan.holders.release(old) } }
        plan.remove(change.removedPorts)
        for port in change.ports { plan.put(port) }
        let isOther = plan.putNetworks(change)
        guard plan.networks.count <= Self.mostNetworks, plan.ports.count <= Self.mostPorts else {
            throw FabricFault("a fabric has at most \(Self.mostNetworks) networks and \(Self.mostPorts) ports")
        }
        if isOther { try plan.checkNetworks() }
        // With another network its machines may be wrong; otherwise those alone that are other ones.
        let touched = isOther ? plan.ports : change.ports
        for port in touched { if let port = plan.port(port.number) { try plan.check(port) } }
        var taking: Set<UInt16> = []
        for port in change.ports where taking.insert(port.number).inserted {
            if let port = plan.port(port.number) { try plan.holders.take(port) }
        }
        for number in gone { try plan.checkEnd(number) }
        try plan.checkPublished()
        if touched.contains(where: { !$0.nameNetworks.isEmpty }) { try plan.checkNumberOfNameViews() }
        guard Self.emptyBytes + plan.bytes <= Self.mostBytes else {
            throw FabricFault("all that is to be in the fabric is longer than \(Self.mostBytes) bytes as JSON")
        }
        return plan
    }

    /// The change together with what follows from it: nothing is left to join a network that is no more.
    public func completing(_ change: FabricChange) -> FabricChange {
        var change = change
        let gone = change.removedNetworks
        for port in ports where port.joined != nil && port.line.isEmpty {
            if gone.contains(port.network ?? "") || gone.contains(port.joined ?? "") {
                change.removedPorts.append(port.number)
            }
        }
        return change
    }

    /// The change that leads from nothing to this plan.
    public var asChange: FabricChange {
        var change = FabricChange()
        change.networks = networks
        change.ports = ports
        change.isWhole = true
        return change
    }

    // MARK: Changing

    private mutating func put(_ port: FabricPort) {
        bytes += port.document.writtenBytes + 1
        if let place = portPlaces[port.number] {
            bytes -= ports[place].document.writtenBytes + 1
            ports[place] = port
        } else {
            portPlaces[port.number] = ports.count
            ports.append(port)
        }
    }

    private mutating func remove(_ numbers: [UInt16]) {
        let gone = Set(numbers.filter { portPlaces[$0] != nil })
        if gone.isEmpty { return }
        for port in ports where gone.contains(port.number) { bytes -= port.document.writtenBytes + 1 }
        ports.removeAll { gone.contains($0.number) }
        portPlaces = [:]
        for (place, port) in ports.enumerated() { portPlaces[port.number] = place }
    }

    /// - Returns: whether any is other than it was.
    private mutating func putNetworks(_ change: FabricChange) -> Bool {
        let gone = Set(change.removedNetworks.filter { networkPlaces[$0] != nil })
        var isOther = !gone.isEmpty
        if isOther {
            for network in networks where gone.contains(network.name) { bytes -= network.document.writtenBytes + 1 }
            networks.removeAll { gone.contains($0.name) }
            networkPlaces = [:]
            for (place, network) in networks.enumerated() { networkPlaces[network.name] = place }
        }
        for network in change.networks {
            let place = networkPlaces[network.name]
            if let place, networks[place] == network { continue }
            isOther = true
            bytes += network.document.writtenBytes + 1
            if let place {
                bytes -= networks[place].document.writtenBytes + 1
                networks[place] = network
            } else {
                networkPlaces[network.name] = networks.count
                networks.append(network)
            }
        }
        return isOther
    }

    // MARK: Checking

    private func checkNetworks() throws(FabricFault) {
        for (place, network) in networks.enumerated() {
            for other in networks[..<place] {
                if other.number == network.number {
                    throw FabricFault("the networks \(other.name) and \(network.name) have one number")
                }
                // What the fabric does not lead to may be everywhere.
                for prefix in network.prefixes where network.isRouted && other.isRouted {
                    if let taken = other.prefixes.first(where: prefix.overlaps) {
                        throw FabricFault("\(prefix) of \(network.name) overlaps with \(taken) of \(other.name)")
                    }
                }
            }
            for name in network.reachableNetworks {
                guard let other = self.network(name) else {
                    throw FabricFault("\(network.name) is to reach \(name), and there is no such network")
                }
                guard other.isRouted else {
                    throw FabricFault("\(network.name) is to reach \(name), which a machine leads to")
                }
            }
            try checkGateways(network)
        }
    }

    private func checkGateways(_ network: FabricNetwork) throws(FabricFault) {
        guard let gateways = network.gateways else { return }
        guard !network.reachesOutside, network.reachableNetworks.isEmpty, network.nameServers.isEmpty else {
            throw FabricFault("\(network.name) reaches what its gateway lets it reach, and nothing else")
        }
        for (place, gateway) in gateways.enumerated() {
            guard let prefix = network.prefixes.first(where: { $0.contains(gateway) }),
                ![prefix.base, prefix.broadcast].contains(gateway),
                !gateways[..<place].contains(where: { $0.family == gateway.family })
            else { throw FabricFault("\(gateway) cannot be the gateway of \(network.name)") }
        }
    }

    private func check(_ port: FabricPort) throws(FabricFault) {
        guard port.impairment == nil || port.network != nil else {
            throw FabricFault("port \(port.number) is an end for wires, and no wire of its own can be impaired")
        }
        guard let name = port.network else {
            if !port.addresses.isEmpty || !port.line.isEmpty || !port.mirrors.isEmpty || !port.nameNetworks.isEmpty
                || port.egress != nil || port.joined != nil
            {
                throw FabricFault("port \(port.number) is in no network, and has addresses, rules or a wire")
            }
            return
        }
        guard let network = network(name) else {
            throw FabricFault("there is no network \(name), in which port \(port.number) is to be")
        }
        try checkRouting(port)
        try checkNameViews(port)
        guard port.egress == nil || network.isRouted else {
            throw FabricFault(
                "a machine leads out of \(name), and decides what others there may reach; port \(port.number) has rules of its own"
            )
        }
        if let joined = port.joined {
            guard let upper = self.network(joined), joined != name else {
                throw FabricFault("port \(port.number) is to join \(name) with \(joined), which is no other network")
            }
            guard network.isRouted, upper.isRouted else {
                throw FabricFault("\(name) and \(joined) cannot be joined: a machine leads out of one of them")
            }
            guard port.addresses.isEmpty, port.names.isEmpty, port.published.isEmpty else {
                throw FabricFault("port \(port.number) joins networks, and has addresses, names or published ports")
            }
            let other = ports.first {
                $0.number != port.number && $0.joined != nil && Set([$0.joined, $0.network]) == [joined, name]
            }
            if let other {
                throw FabricFault("the ports \(other.number) and \(port.number) both join \(name) with \(joined)")
            }
        }
        guard port.hardwareAddress != network.hardwareAddress else {
            throw FabricFault("\(HardwareAddress.text(port.hardwareAddress)) is the own address of \(name)")
        }
        for address in port.addresses {
            guard let prefix = network.prefixes.first(where: { $0.contains(address) }) else {
                throw FabricFault("\(address) is none of the addresses of \(name)")
            }
            guard ![prefix.base, network.isRouted ? prefix.gateway : nil, prefix.broadcast].contains(address) else {
                throw FabricFault("\(address) is the own address of \(name), and no machine's")
            }
        }
        guard network.isRouted || port.published.isEmpty else {
            throw FabricFault("ports of this computer cannot lead into \(name), whose gateway is a machine")
        }
        for end in port.wireEnds {
            guard let port = self.port(end), port.network == nil else {
                throw FabricFault("port \(end), which is to be in a wire, is no end for wires")
            }
        }
    }

    /// One that routes is the next hop of what goes by, and only where the fabric itself sends it there. All hardware addresses in such a wire differ.
    private func checkRouting(_ port: FabricPort) throws(FabricFault) {
        let routing = port.line.filter { $0.routing != nil }
        guard let first = routing.first else { return }
        guard port.joined != nil else {
            throw FabricFault(
                "\(first.name) routes, and port \(port.number) is a machine's place in a network, whose wire takes what leaves hardware addresses as they are"
            )
        }
        var taken = [FabricPort.upperStation(port.number), FabricPort.lowerStation(port.number)]
        for router in routing {
            guard router.shadow == nil else {
                throw FabricFault("\(router.name) routes, and nobody else takes what is sent to its hardware addresses")
            }
            guard let stations = router.routing else { continue }
            for station in [stations.inside, stations.outside] {
                guard !taken.contains(station) else {
                    throw FabricFault("\(router.name) has a hardware address that somebody in the wire has already")
                }
                taken.append(station)
            }
        }
    }

    /// A port that is other than it was, or no more, may be in somebody's wire.
    private func checkEnd(_ number: UInt16) throws(FabricFault) {
        if let holder = holders.wire(of: number).flatMap(port) { try check(holder) }
    }
}

extension FabricPlan: Equatable {
    public static func == (one: FabricPlan, other: FabricPlan) -> Bool {
        one.networks == other.networks && one.ports == other.ports
    }
}

/// What one port alone may have: addresses and a station's address in its network, and ends of appliances.
private struct PortHoldings: Sendable {
    /// Of a station or of IP.
    private struct Address: Hashable {
        let network: String
        let bytes: [UInt8]
    }
    private var addresses: [Address: UInt16] = [:]
    private var ends: [UInt16: UInt16] = [:]

    /// The port in whose wire the end is.
    func wire(of end: UInt16) -> UInt16? { ends[end] }

    mutating func release(_ port: FabricPort) {
        guard let network = port.network else { return }
        for bytes in [port.hardwareAddress] + port.addresses.map({ $0.bytes }) {
            addresses[Address(network: network, bytes: bytes)] = nil
        }
        for end in port.wireEnds { ends[end] = nil }
    }

    mutating func take(_ port: FabricPort) throws(FabricFault) {
        guard let network = port.network else { return }
        for address in port.addresses {
            if let holder = addresses.updateValue(port.number, forKey: Address(network: network, bytes: address.bytes))
            {
                throw FabricFault("the ports \(holder) and \(port.number) have the address \(address)")
            }
        }
        let station = Address(network: network, bytes: port.hardwareAddress)
        if let holder = addresses.updateValue(port.number, forKey: station) {
            throw FabricFault(
                "the ports \(holder) and \(port.number) have the hardware address \(HardwareAddress.text(port.hardwareAddress)) in \(network)"
            )
        }
        for end in port.wireEnds where ends.updateValue(port.number, forKey: end) != nil {
            throw FabricFault("port \(end) is in two wires")
        }
    }
}

extension FabricPort {
    /// The ends of others that are in its wire.
    fileprivate var wireEnds: [UInt16] { line.flatMap { $0.ends } + mirrors }
}
