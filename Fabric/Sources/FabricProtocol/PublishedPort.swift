public import AgentProtocol
import WireFormats

/// Ports of the computer that lead to as many ports of a machine.
public struct PublishedPort: Hashable, Sendable {
    public enum Transport: String, Hashable, Sendable {
        case tcp, udp
    }

    public static let numbers: ClosedRange<UInt16> = 1...65_535
    /// Of one machine; each is held open, and an element of a map.
    public static let mostOfPort = 1024

    public var transport: Transport
    /// The computer's own on which they are; nil: on all of them. IPv4.
    public var address: IPAddress?
    /// The computer's.
    public var ports: ClosedRange<UInt16>
    /// The machine's, for the first of them; the others follow.
    public var machinePort: UInt16

    /// Nil where there are not as many ports of the machine as of the computer.
    public init?(
        _ transport: Transport, on address: IPAddress? = nil, _ ports: ClosedRange<UInt16>, to machinePort: UInt16
    ) {
        guard ports.lowerBound > 0, machinePort > 0, Int(machinePort) + ports.count - 1 <= 65_535 else { return nil }
        self.transport = transport
        self.address = address
        self.ports = ports
        self.machinePort = machinePort
    }

    public var machinePorts: ClosedRange<UInt16> { machinePort...machinePort + (ports.upperBound - ports.lowerBound) }

    /// Whether one packet could be meant for both.
    public func overlaps(_ other: PublishedPort) -> Bool {
        transport == other.transport && ports.overlaps(other.ports)
            && (address == nil || other.address == nil || address == other.address)
    }
}

extension PublishedPort: CustomStringConvertible {
    /// As people write it: `127.0.0.1:8080-8081:80-81/tcp`.
    public var description: String {
        let address = self.address.map { "\($0):" } ?? ""
        return "\(address)\(Self.text(ports)):\(Self.text(machinePorts))/\(transport.rawValue)"
    }

    private static func text(_ ports: ClosedRange<UInt16>) -> String {
        ports.count == 1 ? "\(ports.lowerBound)" : "\(ports.lowerBound)-\(ports.upperBound)"
    }
}

extension PublishedPort {
    init(_ document: JSONValue) throws(FabricFault) {
        let reader = try ObjectReader(
            document, "a published port", ["transport", "address", "port", "count", "machine_port"])
        let transport: Transport
        switch try reader.text("transport") {
        case "tcp": transport = .tcp
        case "udp": transport = .udp
        case let other: throw FabricFault("\"\(other)\" is neither tcp nor udp")
        }
        var address: IPAddress?
        if reader.has("address") {
            guard let own = IPAddress(try reader.text("address")), own.family == .v4 else {
                throw FabricFault("address of a published port is not one of IPv4")
            }
            address = own
        }
        let first = try reader.number("port", in: Self.numbers)
        let count = try reader.number("count", in: 1...UInt16(Self.mostOfPort))
        let machinePort = try reader.number("machine_port", in: Self.numbers)
        guard Int(first) + Int(count) - 1 <= 65_535,
            let published = Self(transport, on: address, first...first + (count - 1), to: machinePort)
        else { throw FabricFault("\(count) ports from \(first) to \(machinePort) go beyond the last port") }
        self = published
    }

    var document: JSONValue {
        .object([
            JSONMember("transport", .string(transport.rawValue)),
            JSONMember("address", address.map { .string($0.description) } ?? .null),
            JSONMember("port", .integer(Int64(ports.lowerBound))),
            JSONMember("count", .integer(Int64(ports.count))),
            JSONMember("machine_port", .integer(Int64(machinePort))),
        ])
    }
}

extension FabricPlan {
    /// No packet may be meant for two machines.
    func checkPublished() throws(FabricFault) {
        var all: [(published: PublishedPort, port: FabricPort)] = []
        for port in ports where !port.published.isEmpty {
            guard port.network != nil, port.addresses.contains(where: { $0.family == .v4 }) else {
                throw FabricFault("\(port.calledName) has no address of IPv4 in a network, to which ports could lead")
            }
            guard port.published.reduce(0, { $0 + $1.ports.count }) <= PublishedPort.mostOfPort else {
                throw FabricFault("\(port.calledName) has more than \(PublishedPort.mostOfPort) published ports")
            }
            for published in port.published { all.append((published, port)) }
        }
        all.sort { $0.published.ports.lowerBound < $1.published.ports.lowerBound }
        for (place, entry) in all.enumerated() {
            for other in all[(place + 1)...] {
                if other.published.ports.lowerBound > entry.published.ports.upperBound { break }
                guard other.published.overlaps(entry.published) else { continue }
                throw FabricFault(
                    "\(entry.published) of \(entry.port.calledName) and \(other.published) of \(other.port.calledName) want one port of this computer"
                )
            }
        }
    }
}

extension FabricPort {
    /// For people.
    var calledName: String { names.first.map { "the machine \"\($0)\"" } ?? "port \(number)" }
}
