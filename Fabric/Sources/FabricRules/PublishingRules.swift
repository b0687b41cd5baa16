public import AgentProtocol
public import FabricProtocol

/// How packets for published ports get from the computer to machines, as nftables reads it.
///
/// The computer sends them to the fabric's end of the link between the two, each published port by a port of its own there
/// (one port may be published on several addresses, for several machines); from there they go on to machines. Their
/// sender stays who it is. Source: nft(8).
public enum PublishingRules {
    static let table = "ip swiftlet"
    /// Machines that have a network with this computer alone (`--network tap`) are theirs who use it, and not outside.
    private static let ownNetworks = "10.191.0.0/16"

    /// One port of the computer.
    public struct Way: Sendable {
        public let transport: PublishedPort.Transport
        public let address: IPAddress?
        public let port: UInt16
        /// The one by which it is known on the link.
        public let carrier: UInt16
        public let machine: IPAddress
        public let machinePort: UInt16
    }

    /// In the fabric: all rules for these ports in the place of those that there were.
    public static func inside(_ ports: [FabricPort]) -> String {
        let ways = ways(of: ports)
        let frame = "add table \(table)\ndelete table \(table)\n"
        if ways.isEmpty { return frame }
        var rules = ""
        for transport in [PublishedPort.Transport.tcp, .udp] {
            let elements = ways.filter { $0.transport == transport }.map {
                "\($0.carrier) : \($0.machine) . \($0.machinePort)"
            }
            if elements.isEmpty { continue }
            rules += "        iifname \"\(RoutingRules.uplink)\" "
            rules += "dnat ip to \(transport.rawValue) dport map \(set(elements))\n"
        }
        return frame + """
            table \(table) {
                chain prerouting {
                    type nat hook prerouting priority dstnat; policy accept;
            \(rules)    }
            \(answers(ports))}

            """
    }

    /// A machine whose default route leads elsewhere answers there, unless somebody in its network asks.
    private static func answers(_ ports: [FabricPort]) -> String {
        let hidden = ports.filter { $0.hidesVisitors && !$0.published.isEmpty }
            .compactMap { port in port.addresses.first { $0.family == .v4 }?.description }
        if hidden.isEmpty { return "" }
        return """
                chain postrouting {
                    type nat hook postrouting priority srcnat; policy accept;
                    ct status dnat ip daddr \(set(hidden)) masquerade
                }

            """
    }

    /// On the computer: all rules of the link in the place of those that there were.
    /// - Parameters:
    ///   - device: the computer's end of the link, and what its table is called.
    ///   - inner: the address of the fabric's end.
    public static func outside(_ ports: [FabricPort], device: String, inner: IPAddress) -> String {
        let ways = ways(of: ports)
        return """
            add table ip \(device)
            delete table ip \(device)
            table ip \(device) {
                chain forward {
                    type filter hook forward priority filter; policy accept;
                    iifname "\(device)" ip daddr \(ownNetworks) ct state new counter drop comment "a machine of --network tap"
                }
                chain postrouting {
                    type nat hook postrouting priority srcnat; policy accept;
                    ip saddr \(inner) masquerade
                    ip saddr 127.0.0.0/8 oifname "\(device)" masquerade
                }
            \(ways.isEmpty ? "" : published(ways, device, inner))}

            """
    }

    /// What goes to the fabric's end without having been meant for a published port would pass by the addresses that ports are
    /// published on; what comes from there for the loopback's addresses would reach what listens for this computer alone. What comes
    /// from elsewhere for a port that is published on one of these is led on before the kernel would throw it away.
    private static func published(_ ways: [Way], _ device: String, _ inner: IPAddress) -> String {
        var rules = ""
        var guards = ""
        for transport in [PublishedPort.Transport.tcp, .udp] {
            let own = ways.filter { $0.transport == transport && $0.address?.bytes.first == 127 }.compactMap { way in
                way.address.map { "\($0) . \(way.port)" }
            }
            if !own.isEmpty {
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
            if !chosen.isEmpty { rules += "        dnat ip to ip daddr . \(key) \(set(chosen))\n" }
            if !anywhere.isEmpty { rules += "        dnat ip to \(key) \(set(anywhere))\n" }
        }
        return """
                chain direct {
                    type filter hook prerouting priority raw; policy accept;
                    iifname != "\(device)" ip daddr \(inner) counter drop
                    iifname "\(device)" ip daddr 127.0.0.0/8 counter drop
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
                guard let machine = port.addresses.first(where: { $0.family == .v4 }) else { continue }
                for published in port.published where (published.address == nil) == isAnywhere {
                    for (own, machinePort) in zip(published.ports, published.machinePorts) {
                        let kind: UInt32 = published.transport == .tcp ? 0 : 1 << 16
                        var carrier = own
                        if let address = published.address { carrier = mixed(address, own) }
                        while !taken.insert(kind | UInt32(carrier)).inserted {
                            carrier = carrier &+ 1 == 0 ? 1 : carrier + 1
                        }
                        ways.append(
                            Way(
                                transport: published.transport, address: published.address, port: own,
                                carrier: carrier, machine: machine, machinePort: machinePort))
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

    private static func set(_ elements: [String]) -> String { "{ " + elements.joined(separator: ", ") + " }" }
}
