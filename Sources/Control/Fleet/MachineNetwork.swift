import AgentProtocol

/// What one network interface of a machine is connected to.
public enum MachineNetwork: Codable, Equatable, Sendable {
    case none
    /// A TAP device of this computer that is there already. Without an address the guest's side is left to the guest.
    case tap(name: String, address: InterfaceAddress?, gateway: String?)
    /// A TAP device that is made for the machine and goes with it, in a network of the two alone.
    case ownTap
    /// The same, and both sides are left to others: no address, and not switched on.
    case bareTap
    /// A network of the fabric. The addresses are those that were asked for, and in a machine's record those that it has.
    case fabric(network: String, addresses: [InterfaceAddress])
    /// An end in the fabric that is put into the wires of other machines; its guest has no address there.
    case wire

    /// Whether the device is made for the machine.
    var isOwn: Bool {
        switch self {
        case .ownTap, .bareTap, .fabric, .wire: true
        case .none, .tap: false
        }
    }

    /// The fabric's network that it is; nil where it is none.
    public var fabricNetwork: String? { if case .fabric(let network, _) = self { network } else { nil } }

    /// Whether what goes over it leaves without any look by the fabric.
    var leadsPastFabric: Bool {
        switch self {
        case .tap, .ownTap, .bareTap: true
        case .none, .fabric, .wire: false
        }
    }

    /// Whether its device is in the fabric.
    var isInFabric: Bool { self == .wire || fabricNetwork != nil }
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
        // A damaged record may hold any number.
        let value = number &* 4 &+ place
        return InterfaceAddress(
            IPAddress(v4: 10, 191, UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)),
            prefixLength: Self.prefixLength)
    }
}
