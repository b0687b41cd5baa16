import Fleet

/// A machine's network interface, for programs.
struct InterfaceDocument: Encodable {
    /// As the guest calls it.
    var name: String
    /// As `--network` names it.
    var network: String
    /// The device on the host's side.
    var hostDevice: String?
    var hardwareAddress: String
    /// The guest's, with its prefix, where this side gave it one.
    var address: String?
    /// All of them, where there are several.
    var addresses: [String]?
    /// The host's on the same network, where it was made for the machine.
    var hostAddress: String?

    init(_ assigned: AssignedInterface) {
        name = assigned.guestName
        network =
            switch assigned.interface.network {
            case .none: "none"
            case .tap(let name, _, _): "tap:\(name)"
            case .ownTap, .bareTap: "tap"
            case .fabric(let network, _): network
            case .wire: "wire"
            }
        hostDevice = assigned.hostDevice
        hardwareAddress = assigned.hardwareAddress
        address = assigned.guestAddresses.first?.description
        addresses = assigned.guestAddresses.count > 1 ? assigned.guestAddresses.map(\.description) : nil
        hostAddress = assigned.hostAddress?.description
    }
}
