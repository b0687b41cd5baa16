import AgentProtocol
import FabricProtocol
import Networks

/// One network interface of a machine.
public struct MachineInterface: Codable, Equatable, Sendable {
    public var network: MachineNetwork
    /// As the guest is to call it; nil leaves the kernel's name, `eth` and its place.
    public var name: String?
    /// Nil: the machine's own for this place.
    public var hardwareAddress: String?
    /// In a machine's record the longest packet of its network; nil: what its device has by itself.
    var maximumTransmissionUnit: UInt32?
    /// In a machine's record who leads out of its network, where that is not the network itself.
    var gateways: [String]?
    /// Whether the program in the guest gives it addresses, by its own settings; nil: the agent does, as the network says.
    public var isLeftToProgram: Bool?

    public init(_ network: MachineNetwork, name: String? = nil, hardwareAddress: String? = nil) {
        self.network = network
        self.name = name
        self.hardwareAddress = hardwareAddress
    }

    /// The same interface by a name, which is judged as one that people give.
    public func named(_ name: String) throws(FleetError) -> MachineInterface {
        var named = self
        named.name = try Options(["name=\(name)"]).interfaceName()
        return named
    }

    /// What makes it another machine's no more: the addresses that were chosen for one.
    mutating func forgetIdentity() {
        hardwareAddress = nil
        if case .fabric(let name, _) = network { network = .fabric(network: name, addresses: []) }
    }

    private static let forms =
        "use none, tap, wire (for an appliance), a network's name (swiftlet network ls), or tap:NAME,address=10.0.0.2/24,gateway=10.0.0.1, each but none with name= and mac= if need be"

    /// Reads `none`, `wire`, `tap[,address=none]`, `NETWORK[,address=ADDRESS]`, or
    /// `tap:NAME[,address=ADDRESS/PREFIX[,gateway=ADDRESS]]`, each but the first with `name=INTERFACE` and `mac=ADDRESS`
    /// anywhere behind; says what is wrong with others.
    public init(parsing text: String) throws(FleetError) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        let options = try Options(parts.dropFirst())
        switch parts[0] {
        case "none" where parts.count == 1: network = .none
        case "wire":
            guard options.gateway == nil, options.address == nil else {
                throw FleetError(
                    .invalidSetting, "an appliance has no address in a wire; leave address= and gateway= out")
            }
            network = .wire
        case "tap":
            guard options.gateway == nil, options.address == nil || options.address == "none" else {
                throw FleetError(
                    .invalidSetting,
                    "a TAP device that is made for the machine gives both sides an address, or neither (tap,address=none); others can be given to one that exists: tap:NAME,address=10.0.0.2/24"
                )
            }
            network = options.address == nil ? .ownTap : .bareTap
        case let first where first.hasPrefix("tap:") && first.utf8.count > 4:
            network = .tap(
                name: String(first.dropFirst(4)), address: try options.interfaceAddress(),
                gateway: try options.gatewayAddress())
        case let first where FabricNetwork.isName(first) && !NetworkStore.reservedNames.contains(first):
            guard options.gateway == nil else {
                throw FleetError(
                    .invalidSetting,
                    "the network \"\(first)\" has its own gateway, its first address; leave gateway= out")
            }
            network = .fabric(network: first, addresses: try options.fabricAddresses())
        default: throw FleetError(.invalidSetting, "\"\(text)\" is no network; \(Self.forms)")
        }
        name = try options.interfaceName()
        hardwareAddress = try options.hardwareAddress()
    }

    /// All that were asked for; a single `none` is none at all.
    public static func list(parsing texts: [String]) throws(FleetError) -> [MachineInterface] {
        var interfaces: [MachineInterface] = []
        for text in texts { interfaces.append(try MachineInterface(parsing: text)) }
        return interfaces.count == 1 && interfaces[0].network == .none ? [] : interfaces
    }

    /// What stands behind the first comma, each at most once.
    private struct Options {
        private(set) var address: String?
        private(set) var gateway: String?
        private var name: String?
        private var mac: String?

        init(_ parts: ArraySlice<String>) throws(FleetError) {
            for part in parts {
                let halves = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                let places: [String: WritableKeyPath<Options, String?>] = [
                    "address": \.address, "gateway": \.gateway, "name": \.name, "mac": \.mac,
                ]
                guard halves.count == 2, let place = places[halves[0]] else {
                    throw FleetError(
                        .invalidSetting,
                        "\"\(part)\" says nothing about a network; what may follow is address=10.0.0.2/24, gateway=10.0.0.1, name=inside and mac=52:54:00:12:34:56"
                    )
                }
                guard self[keyPath: place] == nil else {
                    throw FleetError(.invalidSetting, "\(halves[0])= is there twice; a network has one of each")
                }
                self[keyPath: place] = halves[1]
            }
        }

        func interfaceAddress() throws(FleetError) -> InterfaceAddress? {
            guard let address, address != "none" else { return nil }
            guard let parsed = InterfaceAddress(parsing: address) else {
                throw FleetError(
                    .invalidSetting, "\"\(address)\" is no address and prefix; write it as address=10.0.0.2/24")
            }
            return parsed
        }

        /// Without a prefix, which is the network's.
        func fabricAddresses() throws(FleetError) -> [InterfaceAddress] {
            guard let address else { return [] }
            guard let parsed = IPAddress(address) else {
                throw FleetError(
                    .invalidSetting,
                    "\"\(address)\" is no address; write it as address=10.190.0.9, or leave it to the network")
            }
            return [InterfaceAddress(parsed, prefixLength: parsed.bitWidth)]
        }

        func gatewayAddress() throws(FleetError) -> String? {
            guard let gateway else { return nil }
            guard let parsed = IPAddress(gateway) else {
                throw FleetError(.invalidSetting, "\"\(gateway)\" is no address; write it as gateway=10.0.0.1")
            }
            guard address != nil, address != "none" else {
                throw FleetError(.invalidSetting, "a gateway is reached from an address; give address= too")
            }
            return parsed.description
        }

        /// Names of the kernel's own scheme are refused: the interface that has one by its place could not get it.
        func interfaceName() throws(FleetError) -> String? {
            guard let name else { return nil }
            let isName =
                (1...Limits.interfaceNameBytes).contains(name.utf8.count)
                && name.utf8.allSatisfy { byte in
                    switch byte {
                    case 0x2d, 0x2e, 0x30...0x39, 0x41...0x5a, 0x5f, 0x61...0x7a: true
                    default: false
                    }
                }
            let isTaken = ["lo", ".", "..", "all", "default"].contains(name)
            let isKernels = name.hasPrefix("eth") && name.utf8.dropFirst(3).allSatisfy { (0x30...0x39).contains($0) }
            guard isName, !isTaken, !isKernels else {
                throw FleetError(
                    .invalidSetting,
                    "\"\(name)\" cannot be an interface's name; use letters, digits, \".\", \"-\" and \"_\", at most \(Limits.interfaceNameBytes), and none that the kernel gives itself (lo, eth0)"
                )
            }
            return name
        }

        /// In one form: two small digits for each byte.
        func hardwareAddress() throws(FleetError) -> String? {
            guard let mac else { return nil }
            let bytes = mac.split(separator: ":", omittingEmptySubsequences: false).map {
                $0.utf8.count == 2 && $0.utf8.first != 0x2b ? UInt8($0, radix: 16) : nil
            }
            guard bytes.count == 6, !bytes.contains(nil), let first = bytes[0], first & 1 == 0,
                bytes.contains(where: { $0 != 0 })
            else {
                throw FleetError(
                    .invalidSetting, "\"\(mac)\" is no station's address; write it as mac=52:54:00:12:34:56")
            }
            return mac.lowercased()
        }
    }
}

extension MachineSpecification {
    /// What can be known of the interfaces together.
    func checkInterfaces() throws(FleetError) {
        guard interfaces.count <= Self.mostInterfaces else {
            throw FleetError(
                .invalidSetting,
                "a machine has at most \(Self.mostInterfaces) network interfaces, not \(interfaces.count) (--network)")
        }
        var names: Set<String> = []
        var addresses: Set<String> = []
        var hasGateway: Set<Bool> = []
        for interface in interfaces {
            if interface.network == .none, interfaces.count > 1 {
                throw FleetError(.invalidSetting, "--network none and another network contradict each other")
            }
            if let name = interface.name, !names.insert(name).inserted {
                throw FleetError(.invalidSetting, "two interfaces are called \"\(name)\"; each needs a name of its own")
            }
            if let address = interface.hardwareAddress, !addresses.insert(address).inserted {
                throw FleetError(
                    .invalidSetting, "two interfaces have the address \(address); each needs one of its own (mac=)")
            }
            if case .tap(_, _, let gateway?) = interface.network, !hasGateway.insert(gateway.contains(":")).inserted {
                throw FleetError(.invalidSetting, "two gateways are given; a machine has one default route (gateway=)")
            }
        }
    }
}
