public import AgentProtocol
public import FabricProtocol

/// How packets for published ports get from the computer to machines, as nftables reads it.
///
/// The computer sends them to the fabric's end of the link between the two, each published port by a port of its own there
/// (one port may be published on several addresses, for several machines); from there they go on to machines. Their
/// sender stays who it is. IPv4 and IPv6 have a table each. Source: nft(8).
public enum PublishingRules {
    static let table = "swiftlet"
    /// Machines that have a network with this computer alone (`--network tap`) are theirs who use it, and not outside.
    private static let ownNetworks = "10.191.0.0/16"

    /// One port of the computer, of one family.
    public struct Way: Sendable {
        public let transport: PublishedPort.Transport
        /// Nil: all of the family's.
        public let address: IPAddress?
        public let port: UInt16
        /// The one by which it is known on the link.
        public let carrier: UInt16
        public let machine: IPAddress
        public let machinePort: UInt16
    }

    /// The computer's end of a link between it and a fabric.
    public struct Edge: Sendable {
        /// What it is called, and the tables of its rules.
        public let device: String
        /// The addresses of the fabric's end, one of a family at most; without one nothing of that family goes over the link.
        public let inner: [IPAddress]
        /// Whether the computer lets packets of IPv6 pass that are not its own.
        public let forwardsIPv6: Bool

        public init(device: String, inner: [IPAddress], forwardsIPv6: Bool) {
            self.device = device
            self.inner = inner
            self.forwardsIPv6 = forwardsIPv6
        }
    }

    /// In the fabric: all rules for these ports in the place of those that there were.
    public static func inside(_ ports: [FabricPort]) -> String {
        let ways = ways(of: ports)
        return families.map { family in inside(ports, ways.filter { $0.machine.family == family }, family) }.joined()
    }

    private static func inside(_ ports: [FabricPort], _ ways: [Way], _ family: IPAddress.Family) -> String {
        let table = "\(word(family)) \(table)"
        let frame = "add table \(table)\ndelete table \(table)\n"
        if ways.isEmpty { return frame }
        var rules = ""
        for transport in [PublishedPort.Transport.tcp, .udp] {
            let elements = ways.filter { $0.transport == transport }.map {
                "\($0.carrier) : \($0.machine) . \($0.machinePort)"
            }
            if elements.isEmpty { continue }
            rules += "        iifname \"\(RoutingRules.uplink)\" "
            rules += "dnat \(word(family)) to \(transport.rawValue) dport map \(set(elements))\n"
        }
        return frame + """
            table \(table) {
                chain prerouting {
                    type nat hook prerouting priority dstnat; policy accept;
            \(rules)    }
            \(answers(ports, family))}

            """
    }

    /// A machine whose default route leads elsewhere answers there, unless somebody in its network asks.
    private static func answers(_ ports: [FabricPort], _ family: IPAddress.Family) -> String {
        let hidden = ports.filter { $0.hidesVisitors && !$0.published.isEmpty }
            .compactMap { port in port.addresses.first { $0.family == family }?.description }
        if hidden.isEmpty { return "" }
        return """
                chain postrouting {
                    type nat hook postrouting priority srcnat; policy accept;
                    ct status dnat \(word(family)) daddr \(set(hidden)) masquerade
                }

            """
    }

    /// On the computer: all rules of the link in the place of those that there were.
    public static func outside(_ ports: [FabricPort], _ edge: Edge) -> String {
        let ways = ways(of: ports)
        return families.map { family in
            let table = "\(word(family)) \(edge.device)"
            let frame = "add table \(table)\ndelete table \(table)\n"
            guard let inner = edge.inner.first(where: { $0.family == family }) else { return frame }
            let ways = ways.filter { $0.machine.family == family }
            return frame + """
                table \(table) {
                \(way(family, edge))    chain postrouting {
                        type nat hook postrouting priority srcnat; policy accept;
                        \(word(family)) saddr \(inner) masquerade
                        \(word(family)) saddr \(family == .v4 ? "127.0.0.0/8" : "::1") oifname "\(edge.device)" masquerade
                    }
                \(ways.isEmpty ? "" : published(ways, edge.device, inner))}

                """
        }.joined()
    }

    /// What is not let out. Where the computer forwards no IPv6, it would say nothing to those who wait for an answer.
    private static func way(_ family: IPAddress.Family, _ edge: Edge) -> String {
        switch family {
        case .v4:
            """
                chain forward {
                    type filter hook forward priority filter; policy accept;
                    iifname "\(edge.device)" ip daddr \(ownNetworks) ct state new counter drop comment "a machine of --network tap"
                }

            """
        case .v6 where !edge.forwardsIPv6:
            """
                chain nowhere {
                    type filter hook prerouting priority filter; policy accept;
                    iifname "\(edge.device)" ct direction original fib daddr type unicast counter reject with icmpv6 no-route
                }

            """
        case .v6: ""
        }
    }

    /// What goes to the fabric's end without having been meant for a published port would pass by the addresses that ports are
    /// published on; what comes from there for the loopback's addresses would reach what listens for this computer alone. What comes
    /// from elsewhere for a port that is published on one of these is led on before the kernel would throw it away; what comes so for
    /// the loopback's of IPv6 the kernel throws away before all rules.
    private static func published(_ ways: [Way], _ device: String, _ inner: IPAddress) -> String {
        let family = word(inner.family)
        var rules = ""
        var guards = inner.family == .v4 ? "        iifname \"\(device)\" ip daddr 127.0.0.0/8 counter drop\n" : ""
        for transport in [PublishedPort.Transport.tcp, .udp] {
            let own = ways.filter { $0.transport == transport && $0.address?.bytes.first == 127 }.compactMap { way in
                way.address.map { "\($0) . \(way.port)" }
            }
            if !own.isEmpty, inner.family == .v4 {
                guards +=
                    "        iifname != \"lo\" ip daddr . \(transport.rawValue) dport \(set(own)) counter drop\n"
            }
            let chosen = ways.filter { $0.transport == transport && $0.address != nil }.compactMap { way in
                way.address.map { "\($0) . \(way.port) : \(inner) . \(way.carrier)" }
            }
            let anywhere = ways.filter { $0.transport == transport && $0.address == nil }.map {
                "\($0.port) : \(inner) . \($0.carrier)"
            }
            let key = "\(transport.rawValue) dport map"
            if !chosen.isEmpty { rules += "        dnat \(family) to \(family) daddr . \(key) \(set(chosen))\n" }
            if !anywhere.isEmpty { rules += "        dnat \(family) to \(key) \(set(anywhere))\n" }
        }
        return """
                chain direct {
                    type filter hook prerouting priority raw; policy accept;
                    iifname != "\(device)" \(family) daddr \(inner) counter drop
            \(guards)    }
                chain prerouting {
                    type nat hook prerouting priority dstnat; policy accept;
                    fib daddr type local jump published
                }
                chain output {
                    type nat hook output priority -100; policy accept;
                    fib daddr type local jump published
                }
                chain published {
            \(rules)    }

            """
    }

    /// Each port by itself, with the one that it has on the link: its own where it is published on all addresses, otherwise one
    /// that its address and number lead to, so that it is the same whatever else is published.
    public static func ways(of ports: [FabricPort]) -> [Way] {
        var ways: [Way] = []
        var taken: Set<UInt32> = []
        for isAnywhere in [true, false] {
            for port in ports {
                for published in port.published where (published.onlyAddress == nil) == isAnywhere {
                    for machine in published.machines(among: port.addresses) {
                        for (own, machinePort) in zip(published.ports, published.machinePorts) {
                            let isStream = published.transport == .tcp
                            let kind: UInt32 = (isStream ? 0 : 1 << 16) | (machine.family == .v4 ? 0 : 1 << 17)
                            var carrier = own
                            if let address = published.onlyAddress { carrier = mixed(address, own) }
                            while !taken.insert(kind | UInt32(carrier)).inserted {
                                carrier = carrier &+ 1 == 0 ? 1 : carrier + 1
                            }
                            ways.append(
                                Way(
                                    transport: published.transport, address: published.onlyAddress, port: own,
                                    carrier: carrier, machine: machine, machinePort: machinePort))
                        }
                    }
                }
            }
        }
        return ways
    }

    /// FNV-1a.
    private static func mixed(_ address: IPAddress, _ port: UInt16) -> UInt16 {
        var hash: UInt32 = 2_166_136_261
        for byte in address.bytes + [UInt8(port >> 8), UInt8(port & 0xff)] {
            hash = (hash ^ UInt32(byte)) &* 16_777_619
        }
        return UInt16(1024 + hash % 64_000)
    }

    private static var families: [IPAddress.Family] { [.v4, .v6] }
    /// As nft calls it.
    private static func word(_ family: IPAddress.Family) -> String { family == .v4 ? "ip" : "ip6" }

    private static func set(_ elements: [String]) -> String { "{ " + elements.joined(separator: ", ") + " }" }
}
