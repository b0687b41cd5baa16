public import AgentProtocol
public import ApplianceGuest

/// One side of the firewall: a network interface, called by its role.
public enum Zone: Int, Sendable, CaseIterable {
    case outside, inside, dmz

    static let names: [ByteString] = ["outside", "inside", "dmz"]
    /// Of the interface, too.
    public var name: ByteString { Self.names[rawValue] }
}

/// What a firewall is told, as types that can hold nothing else. Fields: Documentation/firewall.md.
public struct FirewallSettings: Sendable {
    public struct Reservation: Sendable {
        public var hardwareAddress: ByteString
        public var address: IPv4
        public var hostName: ByteString?
    }

    public struct NamedHost: Sendable {
        public var name: ByteString
        public var address: IPv4
    }

    public enum TransportProtocol: Int, Sendable {
        case tcp, udp
        static let names: [ByteString] = ["tcp", "udp"]
        var name: ByteString { Self.names[rawValue] }
    }

    /// A port of the outside address that leads to a host inside or in the DMZ.
    public struct Forward: Sendable {
        public var transport: TransportProtocol
        public var port: UInt16
        public var target: IPv4
        public var targetPort: UInt16
        /// Whom it is for; nil for everybody.
        public var source: IPv4Prefix?
    }

    public enum Action: Int, Sendable {
        case accept, drop, reject
        static let names: [ByteString] = ["accept", "drop", "reject"]
        var name: ByteString { Self.names[rawValue] }
    }

    /// What a rule is about besides where packets come from and go to.
    public enum Kind: Int, Sendable {
        case any, tcp, udp, icmp
        static let names: [ByteString] = ["any", "tcp", "udp", "icmp"]
    }

    /// New connections from one side to another; the first rule that fits decides.
    public struct Rule: Sendable {
        public var from: Zone
        public var to: Zone
        public var action: Action
        public var kind: Kind
        public var source: IPv4Prefix?
        public var destination: IPv4Prefix?
        public var ports: ClosedRange<UInt16>?
    }

    static let mostElements: UInt64 = 64

    public let outside: IPv4Prefix
    public let gateway: IPv4
    public let answersPing: Bool
    public let inside: IPv4Prefix
    public let dmz: IPv4Prefix?

    public let hasDHCP: Bool
    public let firstLease: IPv4
    public let lastLease: IPv4
    public let leaseSeconds: UInt64
    public let reservations: [Reservation]

    public let nameServers: [IPv4]
    public let domain: ByteString
    public let hosts: [NamedHost]

    public let forwards: [Forward]
    public let rules: [Rule]

    public let statusPort: UInt16?
    public let logsDropped: Bool

    /// - Throws: the first field that is wrong, and why; nothing is to be done then.
    public init(_ fields: SettingsFields) throws(SettingsFault) {
        outside = try fields.interfaceAddress("outside.address").required("outside.address")
        gateway = try fields.address("outside.gateway").required("outside.gateway")
        guard outside.hasHost(gateway), gateway != outside.address else {
            throw SettingsFault("outside.gateway", "is no other host of " + outside.network.text)
        }
        answersPing = try fields.boolean("outside.answer-ping") ?? false
        let inside =
            try fields.interfaceAddress("inside.address") ?? IPv4Prefix(IPv4(0xc0a8_0101), length: 24)
        self.inside = inside
        guard !inside.overlaps(outside) else {
            throw SettingsFault("inside.address", "is in a network that overlaps outside's, " + outside.network.text)
        }
        let dmz = try fields.interfaceAddress("dmz.address")
        self.dmz = dmz
        if let dmz, dmz.overlaps(outside) || dmz.overlaps(inside) {
            throw SettingsFault("dmz.address", "is in a network that overlaps outside's or inside's")
        }

        hasDHCP = try fields.boolean("dhcp.enabled") ?? true
        let span = inside.broadcast.value - inside.network.address.value
        let usual = span < 200 ? 1...(span - 1) : 100...199
        let base = inside.network.address.value
        let first = try fields.address("dhcp.first") ?? IPv4(base + usual.lowerBound)
        let last = try fields.address("dhcp.last") ?? IPv4(base + usual.upperBound)
        for (field, address) in [(ByteString("dhcp.first"), first), ("dhcp.last", last)]
        where !inside.hasHost(address) {
            throw SettingsFault(field, "is no host of " + inside.network.text)
        }
        guard first <= last else { throw SettingsFault("dhcp.last", "lies before dhcp.first") }
        (firstLease, lastLease) = (first, last)
        leaseSeconds = try fields.seconds("dhcp.lease", in: 120...31_536_000) ?? 43_200
        reservations = try Self.reservations(fields, inside)

        var servers: [IPv4] = []
        for path in try fields.elements("dns.servers", atMost: 8) {
            servers.append(try fields.address(path).required(path))
        }
        nameServers = servers
        domain = try fields.hostName("dns.domain") ?? "home.arpa"
        hosts = try Self.hosts(fields)

        forwards = try Self.forwards(fields, inside, dmz)
        rules = try Self.rules(fields, hasDMZ: dmz != nil)

        let port = try fields.port("status-page.port") ?? 80
        guard port != 53 else { throw SettingsFault("status-page.port", "is the name service's") }
        statusPort = try fields.boolean("status-page.enabled") ?? true ? port : nil
        logsDropped = try fields.boolean("log-dropped") ?? false
    }

    /// The sides that there are.
    public var zones: [(zone: Zone, prefix: IPv4Prefix)] {
        [(.outside, outside), (.inside, inside)] + (dmz.map { [(.dmz, $0)] } ?? [])
    }

    private static func reservations(
        _ fields: SettingsFields, _ inside: IPv4Prefix
    ) throws(SettingsFault) -> [Reservation] {
        var found: [Reservation] = []
        for path in try fields.elements("dhcp.reserved", atMost: mostElements) {
            let hardware = try fields.hardwareAddress(path + ".hardware-address").required(path + ".hardware-address")
            let address = try fields.address(path + ".address").required(path + ".address")
            guard inside.hasHost(address), address != inside.address else {
                throw SettingsFault(path + ".address", "is no other host of " + inside.network.text)
            }
            for other in found where other.hardwareAddress == hardware || other.address == address {
                throw SettingsFault(path, "is for a host or an address that has been given already")
            }
            let hostName = try fields.hostName(path + ".host-name")
            if let hostName, Self.isWordOfNameService(hostName) {
                throw SettingsFault(path + ".host-name", "means something else to the name service; give another")
            }
            found.append(Reservation(hardwareAddress: hardware, address: address, hostName: hostName))
        }
        return found
    }

    /// Where a host's name may stand, it takes these for orders: to pass the host over, or how long a lease lasts.
    /// Source: dnsmasq(8), --dhcp-host.
    private static func isWordOfNameService(_ name: ByteString) -> Bool {
        if name == "ignore" || name == "infinite" { return true }
        guard let last = name.bytes.last else { return false }
        let isUnit: Bool =
            switch last {
            case UInt8(ascii: "s"), UInt8(ascii: "m"), UInt8(ascii: "h"), UInt8(ascii: "d"), UInt8(ascii: "w"): true
            default: false
            }
        let number = name.bytes.dropLast(isUnit ? 1 : 0)
        return !number.isEmpty && number.allSatisfy { (0x30...0x39).contains($0) }
    }

    private static func hosts(_ fields: SettingsFields) throws(SettingsFault) -> [NamedHost] {
        var found: [NamedHost] = []
        for path in try fields.elements("dns.hosts", atMost: mostElements) {
            found.append(
                NamedHost(
                    name: try fields.hostName(path + ".name").required(path + ".name"),
                    address: try fields.address(path + ".address").required(path + ".address")))
        }
        return found
    }

    private static func forwards(
        _ fields: SettingsFields, _ inside: IPv4Prefix, _ dmz: IPv4Prefix?
    ) throws(SettingsFault) -> [Forward] {
        var found: [Forward] = []
        for path in try fields.elements("forwards", atMost: mostElements) {
            let transport = try fields.choice(path + ".protocol", of: TransportProtocol.names) ?? 0
            let port = try fields.port(path + ".port").required(path + ".port")
            let target = try fields.address(path + ".to").required(path + ".to")
            guard inside.hasHost(target) || dmz?.hasHost(target) ?? false else {
                throw SettingsFault(path + ".to", "is a host neither inside nor in the DMZ")
            }
            guard target != inside.address, target != dmz?.address else {
                throw SettingsFault(path + ".to", "is the firewall itself")
            }
            let forward = Forward(
                transport: TransportProtocol(rawValue: transport) ?? .tcp, port: port, target: target,
                targetPort: try fields.port(path + ".to-port") ?? port, source: try fields.network(path + ".from"))
            for other in found
            where other.transport == forward.transport && other.port == port
                && (other.source == nil || forward.source == nil || other.source == forward.source)
            {
                throw SettingsFault(path + ".port", "is forwarded already")
            }
            found.append(forward)
        }
        return found
    }

    private static func rules(_ fields: SettingsFields, hasDMZ: Bool) throws(SettingsFault) -> [Rule] {
        var found: [Rule] = []
        for path in try fields.elements("rules", atMost: mostElements) {
            func zone(_ field: ByteString) throws(SettingsFault) -> Zone {
                let zone = Zone(rawValue: try fields.choice(path + field, of: Zone.names).required(path + field))
                guard let zone, hasDMZ || zone != .dmz else {
                    throw SettingsFault(path + field, "is not there: dmz.address is not set")
                }
                return zone
            }
            let (from, to) = (try zone(".from"), try zone(".to"))
            guard from != to else { throw SettingsFault(path + ".to", "is where it comes from") }
            let kind = Kind(rawValue: try fields.choice(path + ".protocol", of: Kind.names) ?? 0) ?? .any
            var ports: ClosedRange<UInt16>?
            if let first = try fields.port(path + ".port") {
                let last = try fields.port(path + ".last-port") ?? first
                guard kind == .tcp || kind == .udp else {
                    throw SettingsFault(path + ".port", "is there without protocol tcp or udp")
                }
                guard first <= last else { throw SettingsFault(path + ".last-port", "lies before port") }
                ports = first...last
            } else if fields.value(path + ".last-port") != nil {
                throw SettingsFault(path + ".last-port", "is there without port")
            }
            let action = try fields.choice(path + ".action", of: Action.names).required(path + ".action")
            found.append(
                Rule(
                    from: from, to: to, action: Action(rawValue: action) ?? .drop, kind: kind,
                    source: try fields.network(path + ".source"),
                    destination: try fields.network(path + ".destination"), ports: ports))
        }
        return found
    }
}
