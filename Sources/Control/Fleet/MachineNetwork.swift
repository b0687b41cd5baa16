import AgentProtocol

/// How a machine is connected to its host.
public enum MachineNetwork: Codable, Equatable, Sendable {
    case none
    /// A TAP device of this computer that is there already. Without an address the guest's side is left to the guest.
    case tap(name: String, address: InterfaceAddress?, gateway: String?)
    /// A TAP device that is made for the machine and goes with it, in a network of the two alone.
    case ownTap

    /// Reads `none`, `tap`, or `tap:NAME[,address=ADDRESS/PREFIX[,gateway=ADDRESS]]`; says what is wrong with others.
    public init(parsing text: String) throws(FleetError) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        switch parts[0] {
        case "none" where parts.count == 1: self = .none
        case "tap" where parts.count == 1: self = .ownTap
        case let first where first.hasPrefix("tap:") && first.utf8.count > 4:
            var address: InterfaceAddress?
            var gateway: String?
            for part in parts.dropFirst() {
                if part.hasPrefix("address=") {
                    guard let parsed = InterfaceAddress(parsing: String(part.dropFirst(8))) else {
                        throw FleetError(
                            .invalidSetting, "\"\(part)\" is no address and prefix; write it as address=10.0.0.2/24")
                    }
                    address = parsed
                } else if part.hasPrefix("gateway="), let parsed = IPAddress(String(part.dropFirst(8))) {
                    gateway = parsed.description
                } else {
                    throw FleetError(
                        .invalidSetting,
                        "\"\(part)\" says nothing about a network; after the TAP's name come address=10.0.0.2/24 and gateway=10.0.0.1"
                    )
                }
            }
            guard gateway == nil || address != nil else {
                throw FleetError(.invalidSetting, "a gateway is reached from an address; give address= too")
            }
            self = .tap(name: String(first.dropFirst(4)), address: address, gateway: gateway)
        default:
            throw FleetError(
                .invalidSetting,
                "\"\(text)\" is no network; use none, tap, or tap:NAME,address=10.0.0.2/24,gateway=10.0.0.1")
        }
    }
}

/// An address and how long its network's part is, written `10.0.0.2/24`.
public struct InterfaceAddress: Codable, Equatable, Sendable, CustomStringConvertible {
    public var address: String
    public var prefixLength: UInt8

    init(_ address: IPAddress, prefixLength: UInt8) {
        self.address = address.description
        self.prefixLength = prefixLength
    }

    init?(parsing text: String) {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2, let address = IPAddress(String(halves[0])), let length = UInt8(halves[1]),
            length <= address.bitWidth
        else { return nil }
        self.init(address, prefixLength: length)
    }

    public var description: String { "\(address)/\(prefixLength)" }
}

/// The network of one machine and its host alone: four addresses within 10.191.0.0/16.
public struct OwnNetwork: Equatable, Sendable {
    static let numbers = 0..<16_384
    private static let prefixLength: UInt8 = 30
    let number: Int

    /// The device on the host's side; the same number means the same device, so that two cannot be made.
    var deviceName: String { "swiftlet\(number)" }
    public var host: InterfaceAddress { address(1) }
    public var guest: InterfaceAddress { address(2) }

    private func address(_ place: Int) -> InterfaceAddress {
        let value = number * 4 + place
        return InterfaceAddress(
            IPAddress(v4: 10, 191, UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)),
            prefixLength: Self.prefixLength)
    }
}

extension MachineRecord {
    public var ownNetwork: OwnNetwork? { networkNumber.map(OwnNetwork.init) }

    /// What the guest calls itself; nil where that is left to it.
    public var guestAddress: InterfaceAddress? {
        switch specification.network {
        case .none: nil
        case .tap(_, let address, _): address
        case .ownTap: ownNetwork?.guest
        }
    }

    /// What the agent is told about the guest's side.
    var guestInterfaces: [Interface] {
        guard let guestAddress, let address = IPAddress(guestAddress.address) else { return [] }
        var interface = Interface(
            name: "eth0", addresses: [.init(address, prefixLength: guestAddress.prefixLength)])
        let gateway =
            if case .tap(_, _, let gateway) = specification.network { gateway } else { ownNetwork?.host.address }
        if let gateway = gateway.flatMap({ IPAddress($0) }),
            let any = IPAddress(networkOrder: [UInt8](repeating: 0, count: gateway.bytes.count))
        {
            interface.routes = [.init(to: any, prefixLength: 0, via: gateway)]
        }
        return [interface]
    }
}
