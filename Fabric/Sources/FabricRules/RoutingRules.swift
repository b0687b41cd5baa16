import AgentProtocol
public import FabricProtocol

/// What goes from one network to another, out, and to the fabric itself, as nftables reads it. What is not allowed here is
/// dropped; what answers to something that was allowed is not asked again.
public enum RoutingRules {
    static let table = "inet swiftlet"
    /// Of connections that have come through appliances between networks: they are not known where there are none.
    static let throughAppliances = 0x5357
    /// The link that leads out of the fabric.
    public static let uplink = "up0"

    /// All rules for these networks, and for what is between them, in the place of all that there were.
    /// - Parameter plain: the numbers of those ports that have no appliance in the way: what they reach is what is said (`--reach`).
    public static func text(
        of networks: [FabricNetwork], joinedBy ports: [FabricPort] = [], plain: Set<UInt16> = []
    ) -> String {
        """
        add table \(table)
        delete table \(table)
        table \(table) {
        \(addresses(networks))    chain led {
                type filter hook prerouting priority raw; policy accept;
        \(led(networks))    }
        \(chains(networks, ports, plain))    chain input {
                type filter hook input priority 0; policy drop;
                iifname "lo" accept
                meta mark \(EgressRules.heldMark) meta l4proto { tcp, udp } th dport 53 \(held)
        \(appliances(ports))        ct state established,related accept
                ct state invalid counter drop comment "no connection that is known"
                icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld-listener-query, mld-listener-report } accept
        \(services(networks))        counter drop comment "the network's own address answers for names and addresses only"
            }
            chain forward {
                type filter hook forward priority 0; policy drop;
                meta mark \(EgressRules.heldMark) \(held)
        \(passages(networks, ports))        ct mark != \(throughAppliances) ct state established,related accept
                ct state invalid counter drop comment "no connection that is known"
                iifname "\(uplink)" ct status dnat counter accept comment "published ports"
        \(ways(networks))        counter drop comment "no network may be reached from another unless it is said (--reach)"
            }
            chain postrouting {
                type nat hook postrouting priority srcnat; policy accept;
                oifname "\(uplink)" masquerade
            }
        }

        """
    }

    private static let held = PortRules.drop("the machine's rules are not there (swiftlet network repair)")

    /// Nothing in a network that a machine leads out of is for the fabric; it may have the addresses of others.
    private static func led(_ networks: [FabricNetwork]) -> String {
        networks.filter { !$0.isRouted }.map { network in
            "        iifname \"\(network.bridge)\" counter drop comment \"a machine leads out of this network\"\n"
        }.joined()
    }

    /// Names and addresses are given by the fabric on each network, to those who are in it.
    private static func services(_ networks: [FabricNetwork]) -> String {
        var rules = ""
        for network in networks {
            for (gateway, prefix) in network.ownAddresses {
                let to = "        iifname \"\(network.bridge)\" \(prefix.family == .v4 ? "ip" : "ip6") daddr \(gateway)"
                rules += "\(to) meta l4proto { tcp, udp } th dport { 53, \(EgressRules.namesPort) } accept\n"
                rules += "\(to) meta mark \(NameRules.mark) accept\n"
                rules += "\(to) meta l4proto { icmp, ipv6-icmp } accept\n"
                if prefix.family == .v4 {
                    rules += "        iifname \"\(network.bridge)\" udp dport 67 accept\n"
                }
            }
        }
        return rules
    }

    /// Whatever comes out of appliances between networks, nothing of it is for the fabric.
    private static func appliances(_ ports: [FabricPort]) -> String {
        ports.flatMap { [$0.upperEnd, $0.bridgePort] }.map { link in
            "        iifname \"\(link)\" counter drop comment \"an appliance between networks leads to these alone\"\n"
        }.joined()
    }

    /// The addresses of all networks that the fabric leads to, of either family.
    private static func addresses(_ networks: [FabricNetwork]) -> String {
        families.map { family, name, type in
            let prefixes = networks.filter { $0.isRouted }.flatMap { $0.prefixes }.filter { $0.family == family }
            let elements = prefixes.isEmpty ? "" : " elements = \(set(prefixes.map { $0.description }));"
            return "    set \(name) { type \(type); flags interval;\(elements) }\n"
        }.joined()
    }

    /// What comes out of a wire between networks may be from the network behind it, or from nowhere in the fabric: its appliances may
    /// translate addresses, and speak for themselves.
    private static func strangers(from network: FabricNetwork, _ link: String) -> String {
        families.map { family, name, _ in
            let word = family == .v4 ? "ip" : "ip6"
            let saddr = "\(word) saddr"
            let prefixes = network.prefixes.filter { $0.family == family }.map { $0.description }
            let others = prefixes.isEmpty ? "" : " \(saddr) != \(set(prefixes))"
            let dropped = "counter drop comment \"an address that is none of the network's behind the appliance\"\n"
            var rules = "        iifname \"\(link)\" \(saddr) @\(name)\(others) \(dropped)"
            for (own, _) in network.ownAddresses where own.family == family {
                rules += "        iifname \"\(link)\" \(saddr) \(own) \(dropped)"
            }
            return rules
        }.joined()
    }

    private static let families: [(IPAddress.Family, name: String, type: String)] = [
        (.v4, "addresses4", "ipv4_addr"), (.v6, "addresses6", "ipv6_addr"),
    ]

    private static func set(_ elements: [String]) -> String { "{ " + elements.joined(separator: ", ") + " }" }

    /// What goes into a wire between networks, by the wire's own chain, and comes out of it; which way it goes is not asked here. What
    /// begins there leads nobody elsewhere, by answers to it.
    private static func passages(_ networks: [FabricNetwork], _ ports: [FabricPort]) -> String {
        var rules = ""
        for port in ports {
            for (name, behind, link) in [
                (port.joined, port.network, port.upperEnd), (port.network, port.joined, port.bridgePort),
            ] {
                guard let bridge = networks.first(where: { $0.name == name })?.bridge,
                    let behind = networks.first(where: { $0.name == behind })
                else { continue }
                rules += "        iifname \"\(bridge)\" oifname \"\(link)\" jump \(port.upperEnd)\n"
                rules += strangers(from: behind, link)
                rules +=
                    "        iifname \"\(link)\" oifname \"\(bridge)\" ct state new ct mark set \(throughAppliances)\n"
                rules += "        iifname \"\(link)\" oifname \"\(bridge)\" accept\n"
                // Not for being part of a connection that leads elsewhere.
                rules +=
                    "        iifname \"\(link)\" counter drop comment \"an appliance between networks leads to these alone\"\n"
            }
        }
        return rules
    }

    private static func chains(
        _ networks: [FabricNetwork], _ ports: [FabricPort], _ plain: Set<UInt16>
    ) -> String {
        ports.map { port in
            let rules = entrance(port, networks, isPlain: plain.contains(port.number))
            return "    chain \(port.upperEnd) {\n" + rules.map { "        \($0)\n" }.joined() + "    }\n"
        }.joined()
    }

    /// The chain of one wire between networks, in the place of what it was.
    public static func text(
        ofEntrance port: FabricPort, between networks: [FabricNetwork], isPlain: Bool
    ) -> String {
        let chain = "\(table) \(port.upperEnd)"
        let rules = entrance(port, networks, isPlain: isPlain).map { "add rule \(chain) \($0)\n" }
        return "flush chain \(chain)\n" + rules.joined()
    }

    /// Appliances say what may pass; without any, both networks do.
    private static func entrance(_ port: FabricPort, _ networks: [FabricNetwork], isPlain: Bool) -> [String] {
        guard isPlain else { return ["ct mark set \(throughAppliances) accept"] }
        guard let upper = networks.first(where: { $0.name == port.joined }),
            let lower = networks.first(where: { $0.name == port.network })
        else { return [] }
        var rules: [String] = []
        for (from, to, way, back) in [
            (upper, lower, port.upperEnd, port.bridgePort), (lower, upper, port.bridgePort, port.upperEnd),
        ] where from.reachableNetworks.contains(to.name) {
            rules.append("oifname \"\(way)\" accept")
            rules.append("oifname \"\(back)\" ct direction reply ct state established,related accept")
        }
        return rules
    }

    private static func ways(_ networks: [FabricNetwork]) -> String {
        var rules = ""
        for network in networks {
            if network.reachesOutside {
                rules += "        iifname \"\(network.bridge)\" oifname \"\(uplink)\" accept\n"
            }
            for name in network.reachableNetworks {
                guard let other = networks.first(where: { $0.name == name }) else { continue }
                let (own, reached) = (network.bridge, other.bridge)
                rules += "        iifname \"\(own)\" oifname \"\(reached)\" accept\n"
                rules +=
                    "        iifname \"\(reached)\" oifname \"\(own)\" ct direction reply ct state established,related accept\n"
            }
        }
        return rules
    }
}
