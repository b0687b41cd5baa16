import AgentProtocol
import Archives

/// One interface of a machine, with what was chosen for it when the machine was made.
public struct AssignedInterface: Equatable, Sendable {
    public let interface: MachineInterface
    /// The kernel's name for it in the guest, before it is given another.
    let place: String
    /// Where a device is made for it.
    let ownNetwork: OwnNetwork?
    /// The one that was asked for, or the machine's own: the same whenever it begins, whatever its image.
    public let hardwareAddress: String

    /// As programs in the guest call it.
    public var guestName: String { interface.name ?? place }

    /// The device on the host's side.
    public var hostDevice: String? {
        if case .tap(let name, _, _) = interface.network { return name }
        return ownNetwork?.deviceName
    }

    /// Nil where it is left to the guest.
    public var guestAddress: InterfaceAddress? {
        switch interface.network {
        case .none, .bareTap: nil
        case .tap(_, let address, _): address
        case .ownTap: ownNetwork?.guest
        }
    }

    /// Nil unless the device is made with one.
    public var hostAddress: InterfaceAddress? { interface.network == .ownTap ? ownNetwork?.host : nil }

    var gateway: IPAddress? {
        if case .tap(_, _, let gateway) = interface.network { return gateway.flatMap { IPAddress($0) } }
        return (hostAddress?.address).flatMap { IPAddress($0) }
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
        }
    }

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
            guard assigned.guestAddress != nil || assigned.interface.name != nil else { return nil }
            var interface = Interface(
                name: ByteString(assigned.place), newName: ByteString(assigned.interface.name ?? ""))
            guard let own = assigned.guestAddress, let address = IPAddress(own.address) else { return interface }
            interface.addresses = [.init(address, prefixLength: own.prefixLength)]
            if let gateway = assigned.gateway, hasDefaultRoute.insert(gateway.family).inserted,
                let any = IPAddress(networkOrder: [UInt8](repeating: 0, count: gateway.bytes.count))
            {
                interface.routes = [.init(to: any, prefixLength: 0, via: gateway)]
            }
            return interface
        }
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
