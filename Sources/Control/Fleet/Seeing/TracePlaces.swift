import FabricProtocol
import Networks

/// What the devices of the fabric are, for people.
struct TracePlaces {
    enum Place: Equatable {
        /// The end of a machine's interface in a network.
        case machine(name: String, interface: String, network: String)
        /// An end of an appliance.
        case appliance(name: String, end: String)
        /// Where the wire of a machine's interface meets the network.
        case wire(of: String, network: String)
        /// Where what goes from one network to another is led into a wire, and where it comes out.
        case passage(of: String, and: String)
        /// An end of the stretch of a wire that is impaired; how `impair` calls the wire.
        case stretch(of: String, wire: String)
        /// The bridge, whose own station is the gateway.
        case network(String)
        /// The link out of the fabric.
        case outside
        /// A link of the computer that the fabric is in.
        case computer(device: String)
        /// The other side of one of these.
        case behind

        var name: String {
            switch self {
            case .machine(let name, let interface, _): "\(name):\(interface)"
            case .appliance(let name, let end): "\(name):\(end)"
            case .wire(let owner, let network): "\(owner)@\(network)"
            case .passage(let one, let other): "\(one)-\(other)"
            case .stretch(let owner, _): "\(owner) (impaired)"
            case .network(let name): name
            case .outside: "outside"
            case .computer: "this computer"
            case .behind: ""
            }
        }
    }

    private var byDevice: [String: Place] = ["up0": .outside, "lo": .behind]

    init() {}

    init(_ networks: [NetworkRecord], _ running: [(MachineRecord, [AssignedInterface])], _ passages: [Passage]) {
        for network in networks {
            byDevice[network.fabricNetwork(nameServers: []).bridge] = .network(network.name)
        }
        for (record, interfaces) in running {
            for interface in interfaces {
                guard let number = interface.portNumber else { continue }
                guard let network = interface.interface.network.fabricNetwork else {
                    byDevice[FabricPort.tap(number)] = .appliance(name: record.name, end: interface.guestName)
                    continue
                }
                add(number, machine: record.name, interface: interface.guestName, network: network)
            }
        }
        for passage in passages {
            let port = FabricPort.end(passage.number)
            let place = Place.passage(of: passage.networks[0], and: passage.networks[1])
            (byDevice[port.tap], byDevice[port.wireEnd]) = (place, place)
            (byDevice[port.upperEnd], byDevice[port.bridgePort]) = (.behind, .behind)
            for end in port.stretchEnds {
                byDevice[end] = .stretch(
                    of: place.name, wire: "between \(passage.networks[0]) and \(passage.networks[1])")
            }
        }
    }

    mutating func add(_ number: UInt16, machine: String, interface: String, network: String) {
        let port = FabricPort.end(number)
        byDevice[port.tap] = .machine(name: machine, interface: interface, network: network)
        byDevice[port.wireEnd] = .wire(of: "\(machine):\(interface)", network: network)
        byDevice[port.bridgePort] = .behind
        for end in port.stretchEnds {
            byDevice[end] = .stretch(of: "\(machine):\(interface)", wire: "\(machine):\(interface)")
        }
    }

    mutating func add(_ place: Place, device: String) { byDevice[device] = place }

    subscript(device: String) -> Place? {
        guard device.hasPrefix("@") else { return byDevice[device] }
        // The other side of the link out of the fabric.
        return device.hasPrefix("@swiftlet-up") ? .behind : .computer(device: String(device.dropFirst()))
    }
}
