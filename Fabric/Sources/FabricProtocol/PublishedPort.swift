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
    /// The computer's own on which they are, or the one that means all of its family (0.0.0.0, ::); nil: on all of them.
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

    /// The one address on which they are; nil: on all of their families.
    public var onlyAddress: IPAddress? { address.flatMap { $0.isUnspecified ? nil : $0 } }
    /// Of the computer's addresses on which they are.
    public var families: [IPAddress.Family] { address.map { [$0.family] } ?? [.v4, .v6] }

    /// Whether one packet could be meant for both.
    public func overlaps(_ other: PublishedPort) -> Bool {
        transport == other.transport && ports.overlaps(other.ports) && families.contains(where: other.families.contains)
            && (onlyAddress == nil || other.onlyAddress == nil || onlyAddress == other.onlyAddress)
    }

    /// To which of a machine's addresses each family leads: one of its own kind.
    public func machines(among addresses: [IPAddress]) -> [IPAddress] {
        families.compactMap { family in addresses.first { $0.family == family } }
    }

    /// What no ports can be on, and why. Source: RFC 4291 §2.5.5, §2.5.6, §2.7, RFC 5771, RFC 919 §7.
    private static let unusable: [(prefix: String, meaning: String)] = [
        ("224.0.0.0/4", "a group"), ("255.255.255.255/32", "an address of everybody"),
        ("fe80::/10", "an address of a link alone"), ("ff00::/8", "a group"),
        ("::ffff:0:0/96", "an address of IPv4; write it as one"),
    ]

    /// Why no ports can be on the address; nil: they can.
    public static func objection(to address: IPAddress) -> String? {
        unusable.first { NetworkPrefix($0.prefix)?.contains(address) ?? false }?.meaning
    }
}

extension PublishedPort: CustomStringConvertible {
    /// As people write it: `127.0.0.1:8080-8081:80-81/tcp`.
    public var description: String {
        let address = self.address.map { $0.family == .v4 ? "\($0):" : "[\($0)]:" } ?? ""
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
            guard let own = IPAddress(try reader.text("address")) else {
                throw FabricFault("address of a published port is none")
            }
            if let objection = Self.objection(to: own) {
                throw FabricFault("ports are not published on \(own), \(objection)")
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
            let stray = port.published.first { port.network == nil || $0.machines(among: port.addresses).isEmpty }
            if let stray {
                let family = stray.address.map { $0.family == .v4 ? " of IPv4" : " of IPv6" } ?? ""
                throw FabricFault(
                    "\(port.calledName) has no address\(family) in a network, to which \(stray) could lead")
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

extension IPAddress {
    /// Whether it means all of a computer's own: 0.0.0.0, ::.
    public var isUnspecified: Bool { bytes.allSatisfy { $0 == 0 } }
}
