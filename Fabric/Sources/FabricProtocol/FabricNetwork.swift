public import AgentProtocol

/// A network of a fabric: a bridge with an address of each of its prefixes, names, and what may go in and out; or a bridge
/// alone, out of which a machine leads.
public struct FabricNetwork: Equatable, Sendable {
    public static let numbers: ClosedRange<UInt16> = 1...4095
    /// Source: Linux, `ETH_MIN_MTU` for IPv4 and RFC 8200 §5 for IPv6.
    public static let maximumTransmissionUnits: ClosedRange<UInt32> = 1280...65_521
    public static let mostNameBytes = 32
    public static let mostReachable = 64

    /// Lower-case letters, digits and `-`; unique in the fabric.
    public var name: String
    /// Unique in the fabric; the bridge is called by it.
    public var number: UInt16
    /// One of a family at most.
    public var prefixes: [NetworkPrefix]
    public var maximumTransmissionUnit: UInt32
    /// Whether its machines reach what lies outside of this computer's fabric, with their addresses translated.
    public var reachesOutside: Bool
    /// The names of networks to whose machines its machines may open connections.
    public var reachableNetworks: [String]
    /// Whether machines of the network may speak to one another.
    public var isPrivate: Bool
    /// Who answers for names that are not the fabric's own; none: nobody does.
    public var nameServers: [IPAddress]
    /// The addresses of machines that lead out of the network, one of a family at most; empty: nobody leads out. Nil: the fabric does,
    /// with the first address of each prefix, and gives addresses and names.
    public var gateways: [IPAddress]?

    public init(
        name: String, number: UInt16, prefixes: [NetworkPrefix], maximumTransmissionUnit: UInt32 = 1500,
        reachesOutside: Bool = true, reachableNetworks: [String] = [], isPrivate: Bool = false,
        nameServers: [IPAddress] = [], gateways: [IPAddress]? = nil
    ) {
        self.name = name
        self.number = number
        self.prefixes = prefixes
        self.maximumTransmissionUnit = maximumTransmissionUnit
        self.reachesOutside = reachesOutside
        self.reachableNetworks = reachableNetworks
        self.isPrivate = isPrivate
        self.nameServers = nameServers
        self.gateways = gateways
    }

    /// Whether the fabric has an address there, and leads from there and to there.
    public var isRouted: Bool { gateways == nil }
    /// Of these it answers for names and by DHCP.
    public var givesNames: Bool { isRouted && !prefixes.isEmpty }

    /// Where packets of a prefix go that are for elsewhere.
    public func gateway(of prefix: NetworkPrefix) -> IPAddress? {
        guard let gateways else { return prefix.gateway }
        return gateways.first { $0.family == prefix.family }
    }

    /// The fabric's own in each prefix.
    public var ownAddresses: [(address: IPAddress, prefix: NetworkPrefix)] {
        isRouted ? prefixes.compactMap { prefix in prefix.gateway.map { ($0, prefix) } } : []
    }

    /// The prefixes out of which the port's machine leads.
    public func prefixes(ledBy port: FabricPort) -> [NetworkPrefix] {
        prefixes.filter { prefix in (gateways ?? []).contains { prefix.contains($0) && port.addresses.contains($0) } }
    }

    public var bridge: String { "n" + String(number) }
    /// The bridge's own, the same whenever it is made, so that machines go on with what they know of their gateway.
    public var hardwareAddress: [UInt8] {
        [0x02, 0x53, 0x77, 0x00, UInt8(number >> 8), UInt8(truncatingIfNeeded: number)]
    }
    /// What names in the network end with, if they are written whole.
    public var domain: String { name + ".internal" }

    public static func isName(_ text: String) -> Bool {
        (1...mostNameBytes).contains(text.utf8.count) && text.utf8.first != 0x2d && text.utf8.last != 0x2d
            && text.utf8.allSatisfy { $0 == 0x2d || (0x30...0x39).contains($0) || (0x61...0x7a).contains($0) }
    }
}
