import AgentProtocol
import Archives
import FabricProtocol

/// One interface of a machine, with what was chosen for it when the machine was made.
public struct AssignedInterface: Equatable, Sendable {
    public let interface: MachineInterface
    /// The kernel's name for it in the guest, before it is given another.
    let place: String
    /// Where a device is made for it.
    let ownNetwork: OwnNetwork?
    /// The one that was asked for, or the machine's own: the same whenever it begins, whatever its image.
    public let hardwareAddress: String
    /// How many of the machine's interfaces before it are in the same network.
    var repetition = 0

    /// What its wire is known by, however often the machine begins and whatever else it is put into or taken out of; nil: it is in no
    /// network that has wires.
    var wire: String? {
        interface.network.fabricNetwork.map { repetition == 0 ? $0 : "\($0)#\(repetition + 1)" }
    }

    /// As programs in the guest call it.
    public var guestName: String { interface.name ?? place }

    /// The device on the host's side.
    public var hostDevice: String? {
        switch interface.network {
        case .tap(let name, _, _): name
        case .fabric, .wire: portNumber.map { FabricPort.tap($0) }
        case .none, .ownTap, .bareTap: ownNetwork?.deviceName
        }
    }

    /// The number of its port in the fabric; nil where it is in none of its networks.
    var portNumber: UInt16? {
        guard interface.network.isInFabric, let ownNetwork else { return nil }
        return UInt16(exactly: ownNetwork.number + 1)
    }

    /// Empty where they are left to the guest.
    public var guestAddresses: [InterfaceAddress] {
        switch interface.network {
        case .none, .bareTap, .wire: []
        case .tap(_, let address, _): address.map { [$0] } ?? []
        case .ownTap: ownNetwork.map { [$0.guest] } ?? []
        case .fabric(_, let addresses): addresses
        }
    }

    /// Nil unless the device is made with one.
    public var hostAddress: InterfaceAddress? { interface.network == .ownTap ? ownNetwork?.host : nil }

    func leads(_ family: IPAddress.Family) -> Bool { gateways.contains { $0.family == family } }

    var gateways: [IPAddress] {
        switch interface.network {
        case .tap(_, _, let gateway): gateway.flatMap { IPAddress($0) }.map { [$0] } ?? []
        case .fabric(_, let addresses):
            // Who leads out itself asks nobody else.
            interface.gateways.map { gateways in
                gateways.filter { own in !addresses.contains { $0.address == own } }.compactMap { IPAddress($0) }
            } ?? addresses.compactMap { NetworkPrefix($0.description)?.gateway }
        case .none, .ownTap, .bareTap, .wire: (hostAddress?.address).flatMap { IPAddress($0) }.map { [$0] } ?? []
        }
    }
}

extension MachineRecord {
    public var interfaces: [AssignedInterface] {
        var numbers = networkNumbers.makeIterator()
        return specification.interfaces.enumerated().map { place, interface in
            AssignedInterface(
                interface: interface, place: "eth\(place)",
                ownNetwork: interface.network.isOwn ? numbers.next().map(OwnNetwork.init) : nil,
                hardwareAddress: interface.hardwareAddress ?? ownHardwareAddress(place))
        }.countingRepetitions()
    }

    /// Whether its monitor belongs in the fabric.
    var isInFabric: Bool { specification.interfaces.contains { $0.network.isInFabric } }

    /// Of the machine's id, so that none needs to be kept: a station's address that nobody else administers, with the
    /// interface's place in its last byte. Source: IEEE 802-2014 §8.2.2.
    func ownHardwareAddress(_ place: Int) -> String {
        var bytes = Array(SHA256.digest(of: Array("hardware address \(id)".utf8)).bytes.prefix(6))
        bytes[0] = bytes[0] & 0xFC | 0x02
        bytes[5] ^= UInt8(truncatingIfNeeded: place)
        return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }

    /// What the agent is told about the guest's side. The first interface with a gateway has the default route.
    var guestInterfaces: [Interface] {
        var hasDefaultRoute: Set<IPAddress.Family> = []
        return interfaces.compactMap { assigned in
            let isOwn = assigned.interface.isLeftToProgram == true
            guard !(assigned.guestAddresses.isEmpty || isOwn) || assigned.interface.name != nil else { return nil }
            var interface = Interface(
                name: ByteString(assigned.place), newName: ByteString(assigned.interface.name ?? ""))
            if isOwn { return interface }
            interface.addresses = assigned.guestAddresses.compactMap { own in
                IPAddress(own.address).map { .init($0, prefixLength: own.prefixLength) }
            }
            interface.maximumTransmissionUnit = assigned.interface.maximumTransmissionUnit ?? 0
            if interface.addresses.isEmpty { return interface }
            for gateway in assigned.gateways where hasDefaultRoute.insert(gateway.family).inserted {
                if let any = IPAddress(networkOrder: [UInt8](repeating: 0, count: gateway.bytes.count)) {
                    interface.routes.append(.init(to: any, prefixLength: 0, via: gateway))
                }
            }
            return interface
        }
    }

    /// Who answers for names: those that were given, or the networks of the fabric that the machine is in.
    var nameServers: [IPAddress] { nameServers(in: interfaces) }

    func nameServers(in interfaces: [AssignedInterface]) -> [IPAddress] {
        let given = specification.container.nameServers.compactMap { IPAddress($0) }
        if !given.isEmpty { return given }
        let inFabric = interfaces.filter { $0.interface.network.fabricNetwork != nil }
        return Array(inFabric.flatMap(\.gateways).prefix(Limits.nameServers))
    }

    /// What names without a dot may end with.
    var searchDomains: [ByteString] { searchDomains(in: interfaces) }

    func searchDomains(in interfaces: [AssignedInterface]) -> [ByteString] {
        let given = specification.container.searchDomains
        if !given.isEmpty { return given.map { ByteString($0) } }
        // Names of the others are given by who leads out of them, if anybody.
        return interfaces.filter { $0.interface.gateways == nil }
            .compactMap(\.interface.network.fabricNetwork).map { ByteString("\($0).internal") }
    }

    /// This computer's address on the first of the machine's own networks.
    var hostGateway: IPAddress? {
        interfaces.lazy.compactMap(\.hostAddress).first.flatMap { IPAddress($0.address) }
    }

    /// For the guest's file of hosts.
    var hostEntries: [HostEntry] {
        specification.container.hostEntries.compactMap { entry in
            let isGateway = entry.address == ContainerSettings.HostAddress.gateway
            return (isGateway ? hostGateway : IPAddress(entry.address)).map { HostEntry($0, ByteString(entry.name)) }
        }
    }
}

extension [AssignedInterface] {
    func countingRepetitions() -> [AssignedInterface] {
        var counts: [String: Int] = [:]
        return map { interface in
            var interface = interface
            if let network = interface.interface.network.fabricNetwork {
                interface.repetition = counts[network, default: 0]
                counts[network, default: 0] += 1
            }
            return interface
        }
    }
}
