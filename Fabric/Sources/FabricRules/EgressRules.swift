import AgentProtocol
public import FabricProtocol

/// What machines may open connections to outside of their networks, as nftables reads it: a chain for each port whose machine may
/// not reach everything. What belongs to a domain is in sets that the program which answers for names fills. A table of its
/// own, whose sets stay while other rules change. Source: nft(8).
///
/// Each connection is asked about with every packet that its machine sends, so that a change counts for those that are open, too.
public enum EgressRules {
    static let table = "inet swiftlet-egress"
    /// Where who asks is answered for the names alone that it may reach.
    public static let namesPort: UInt16 = 1053
    /// The group of the kernel's packet log.
    public static let logGroup: UInt16 = 7
    /// So many of a machine's connections are written down in a second at most, of those that it opens and of those that it is refused.
    static let logged = "limit rate 20/second burst 100 packets"

    /// On packets of machines that have rules, until these let them pass: what comes with it to the end of the way, of which the rules are
    /// not there, goes no further.
    static let heldMark = 0x5357

    /// Between a provider and its customers, and in overlay networks; the other private ones dnsmasq does not answer. Source: RFC 6598.
    private static let sharedAddresses = "100.64.0.0/10"

    /// The table, without the ways to machines.
    public static let frame = """
        add table \(table)
        add map \(table) machines { type ifname . ether_addr : verdict; }
        add set \(table) named { type ifname . ether_addr; }
        add chain \(table) forward { type filter hook forward priority -2; policy accept; }
        flush chain \(table) forward
        add rule \(table) forward ct direction reply meta mark set 0 accept
        add rule \(table) forward iifname . ether saddr vmap @machines
        add chain \(table) input { type filter hook input priority -2; policy accept; }
        flush chain \(table) input
        add rule \(table) input iifname . ether saddr @named meta l4proto { tcp, udp } th dport 53 \
        \(PortRules.drop("a connection to the names of everybody that is older than the rules"))
        add chain \(table) names { type nat hook prerouting priority dstnat; policy accept; }
        flush chain \(table) names
        add rule \(table) names iifname . ether saddr @named meta l4proto { tcp, udp } th dport 53 redirect to :\(namesPort)

        """

    /// Forgets the ways to all machines.
    public static let reset = "\(frame)flush map \(table) machines\nflush set \(table) named\n"

    /// The chain of a port, made or made anew, and the way to it. Nothing where its machine may reach everything.
    public static func text(of port: FabricPort, in network: FabricNetwork) -> String {
        guard let policy = port.egress else { return "" }
        let chain = "\(table) \(port.bridgePort)"
        var rules = sets(of: policy.domains, in: network)
        rules += "add chain \(chain)\nflush chain \(chain)\n"
        for (place, rule) in policy.rules.enumerated() {
            for match in matches(rule, in: network) {
                rules += note(chain, match + " ct state new", port, "\(place)", isWanted: policy.log != nil)
                rules += "add rule \(chain) \(match) counter meta mark set 0 accept comment \"\(rule)\"\n"
            }
        }
        rules += note(chain, "", port, "-", isWanted: policy.log != nil)
        rules +=
            "add rule \(chain) counter reject with icmpx admin-prohibited comment \"the machine may not reach it (swiftlet egress)\"\n"
        let station = "\"\(network.bridge)\" . \(HardwareAddress.text(port.hardwareAddress))"
        rules += "add element \(table) machines { \(station) : jump \(port.bridgePort) }\n"
        return rules + "add element \(table) named { \(station) }\n"
    }

    /// Takes a port's chain away.
    public static func removal(of port: FabricPort, in network: FabricNetwork) -> String {
        let station = "\"\(network.bridge)\" . \(HardwareAddress.text(port.hardwareAddress))"
        return """
            \(frame)add chain \(table) \(port.bridgePort)
            add element \(table) machines { \(station) : jump \(port.bridgePort) }
            delete element \(table) machines { \(station) }
            add element \(table) named { \(station) }
            delete element \(table) named { \(station) }
            flush chain \(table) \(port.bridgePort)
            delete chain \(table) \(port.bridgePort)

            """
    }

    /// The sets of a domain's addresses: two of each family, which are emptied in turn, so that an address is let through for a
    /// while after it was told, and not for ever.
    static func sets(of domain: String, in network: FabricNetwork) -> [(name: String, family: IPAddress.Family)] {
        [("a", IPAddress.Family.v4), ("b", .v4), ("a", .v6), ("b", .v6)].map { half, family in
            ("\(half)\(family == .v4 ? 4 : 6).\(network.bridge).\(domain)", family)
        }
    }

    private static func sets(of domains: [String], in network: FabricNetwork) -> String {
        var text = ""
        for set in domains.flatMap({ sets(of: $0, in: network) }) {
            text +=
                "add set \(table) \(set.name) { type \(set.family == .v4 ? "ipv4_addr" : "ipv6_addr"); size 65535; }\n"
        }
        return text
    }

    /// Takes the sets of domains away that no machine of the network may reach any more: what was told of them is over.
    public static func removal(ofDomainsBetween old: [FabricPort], and new: [FabricPort], in network: FabricNetwork)
        -> String
    {
        let kept = domains(of: new)
        let gone = domains(of: old).filter { !kept.contains($0) }
        let names = gone.flatMap { sets(of: $0, in: network) }.map { $0.name }
        return sets(of: gone, in: network) + names.map { "delete set \(table) \($0)\n" }.joined()
    }

    /// What empties one half of the sets of a plan's domains; nil where there is none.
    public static func emptying(_ half: String, of plan: FabricPlan) -> String? {
        var names: Set<String> = []
        for network in plan.networks {
            for domain in domains(of: plan.ports(in: network)) {
                for set in sets(of: domain, in: network) where set.name.hasPrefix(half) { names.insert(set.name) }
            }
        }
        return names.isEmpty ? nil : names.map { "flush set \(table) \($0)\n" }.joined()
    }

    /// Those that any of the machines may reach.
    static func domains(of ports: [FabricPort]) -> [String] {
        var domains: [String] = []
        for port in ports {
            for domain in port.egress?.domains ?? [] where !domains.contains(domain) { domains.append(domain) }
        }
        return domains
    }

    private static func matches(_ rule: EgressRule, in network: FabricNetwork) -> [String] {
        let places: [String]
        switch rule.destination {
        case .prefix(let prefix): places = ["\(prefix.family == .v4 ? "ip" : "ip6") daddr \(prefix)"]
        case .domain(let name):
            // Whoever owns a domain cannot have it lead to other networks here, nor to those behind this computer.
            places = sets(of: name, in: network).map {
                let family = $0.family == .v4 ? "ip daddr != \(sharedAddresses) ip" : "ip6"
                return "oifname \"\(RoutingRules.uplink)\" \(family) daddr @\($0.name)"
            }
        }
        var transport = ""
        if rule.ports != nil || rule.transport != nil {
            transport = rule.transport.map { " meta l4proto \($0.rawValue)" } ?? " meta l4proto { tcp, udp }"
        }
        if let ports = rule.ports { transport += " th dport \(ports.lowerBound)-\(ports.upperBound)" }
        return places.map { $0 + transport }
    }

    /// Has it written down: the port, and the place of the rule that let it pass, or `-`.
    private static func note(
        _ chain: String, _ match: String, _ port: FabricPort, _ verdict: String, isWanted: Bool
    ) -> String {
        guard isWanted else { return "" }
        return
            "add rule \(chain) \(match) \(logged) log prefix \"\(port.number) \(verdict)\" group \(logGroup) snaplen 128\n"
    }
}

/// Settings of the program that answers for names in a network to those machines that may not reach everything: the names of the
/// network, and those of domains that one of these machines may reach. Source: dnsmasq(8).
public enum EgressNames {
    /// How long answers are believed, in seconds: shorter than it takes until sets are emptied.
    private static let mostSeconds = 600

    /// Nil where all machines may ask for everything.
    /// - Parameters:
    ///   - ports: the network's.
    ///   - names: the folder of files as `NameSettings.names(of:)` makes them.
    public static func text(
        of network: FabricNetwork, _ ports: [FabricPort], names: String, pidFile: String
    ) -> String? {
        if ports.allSatisfy({ $0.egress == nil }) { return nil }
        var lines = NameSettings.common([network], names: names, pidFile: pidFile)
        lines += ["port=\(EgressRules.namesPort)", "domain=\(network.domain)", "expand-hosts"]
        lines += strictness(ports.map { ($0, network) }, nameServers: network.nameServers)
        return lines.joined(separator: "\n") + "\n"
    }

    /// What makes one answer for the domains alone that one of these machines may reach, each in its network, and fill their sets.
    static func strictness(_ ports: [(FabricPort, FabricNetwork)], nameServers: [IPAddress]) -> [String] {
        var lines = [
            "max-ttl=\(mostSeconds)", "max-cache-ttl=\(mostSeconds)",
            // Whoever owns a domain that is allowed could have it lead to machines of this computer.
            "stop-dns-rebind", "address=/#/",
            // What it refuses is for the log: see `RefusedName`. Standard error is as it was given: what may not wait there does not.
            "log-queries=extra", "log-facility=-",
        ]
        for domain in EgressRules.domains(of: ports.map { $0.0 }) {
            lines += nameServers.map { "server=/\(domain)/\($0)" }
            var networks: [FabricNetwork] = []
            for (port, network) in ports where port.egress?.domains.contains(domain) ?? false {
                if !networks.contains(network) { networks.append(network) }
            }
            let sets = networks.flatMap { EgressRules.sets(of: domain, in: $0) }.map { set in
                "\(set.family == .v4 ? 4 : 6)#\(EgressRules.table.split(separator: " ").joined(separator: "#"))#\(set.name)"
            }
            lines.append("nftset=/\(domain)/" + sets.joined(separator: ","))
        }
        return lines
    }
}
