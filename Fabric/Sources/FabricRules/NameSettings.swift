import AgentProtocol
public import FabricProtocol

/// Settings of the program that gives names and addresses in one network, dnsmasq. Source: dnsmasq(8).
public enum NameSettings {
    /// Its settings. Names and leases of machines are in files of their own, which it watches.
    /// - Parameters:
    ///   - names: the folder of files as `names(of:)` makes them.
    ///   - leases: the folder of files as `lease(of:)` makes them.
    ///   - given: the file of the addresses that it has given to somebody, for `given(_:keptFor:)`.
    public static func text(
        of network: FabricNetwork, names: String, leases: String, given: String, pidFile: String
    ) -> String {
        var lines = common([network], names: names, pidFile: pidFile)
        lines += ["domain=\(network.domain)", "expand-hosts", "dhcp-ignore-names", silence]
        lines += network.nameServers.map { "server=\($0)" }
        for prefix in network.prefixes {
            switch prefix.family {
            case .v4:
                lines += ["dhcp-range=\(prefix.base),static,1h", "dhcp-authoritative", "dhcp-hostsdir=\(leases)"]
                lines += ["dhcp-option=option:mtu,\(network.maximumTransmissionUnit)", "dhcp-leasefile=\(given)"]
                lines +=
                    prefix.gateway.map { ["dhcp-option=option:router,\($0)", "dhcp-option=option:dns-server,\($0)"] }
                    ?? []
            case .v6: break
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// What it says after it has begun is about what guests ask, who may ask as often as they like.
    static let silence = "log-facility=/dev/null"

    /// What is the same for all who answer: with the names in a folder, to the machines of these networks.
    static func common(_ networks: [FabricNetwork], names: String, pidFile: String) -> [String] {
        networks.map { "interface=\($0.bridge)" } + [
            "bind-interfaces", "except-interface=lo", "no-hosts", "no-resolv", "no-poll", "keep-in-foreground",
            "user=root", "pid-file=\(pidFile)", "hostsdir=\(names)", "local=/internal/", "domain-needed", "bogus-priv",
            "local-ttl=0", "cache-size=1000",
        ]
    }

    /// What a port's addresses are called, as a file of hosts; nil where they have no name.
    public static func names(of port: FabricPort) -> String? {
        if port.names.isEmpty || port.addresses.isEmpty { return nil }
        return port.addresses.map { "\($0) \(port.names.joined(separator: " "))\n" }.joined()
    }

    /// The address that DHCP gives to a port's machine; nil where it has none of IPv4.
    public static func lease(of port: FabricPort) -> String? {
        guard let address = port.addresses.first(where: { $0.family == .v4 }) else { return nil }
        // Without a name there, it takes the one that the address has.
        let name = port.names.first.flatMap { isOption($0) ? nil : ",\($0)" } ?? ""
        return "\(HardwareAddress.text(port.hardwareAddress)),\(address)\(name)\n"
    }

    /// What is left of the addresses that it has given when these are the machines: dnsmasq gives an address to nobody else
    /// as long as it knows that a former owner has it.
    /// - Parameter text: lines of a time, a station's address, its address, its name and what it calls itself.
    public static func given(_ text: String, keptFor ports: [FabricPort]) -> String {
        var owners: Set<String> = []
        for port in ports {
            let station = HardwareAddress.text(port.hardwareAddress)
            for address in port.addresses { owners.insert(station + " " + address.description) }
        }
        var kept = ""
        for line in text.utf8.split(separator: 0x0a) where owners.contains(owner(line)) {
            kept += String(Substring(line)) + "\n"
        }
        return kept
    }

    /// Whether an address has been given to another machine than this port's.
    public static func isGiven(_ text: String, besides port: FabricPort) -> Bool {
        let station = HardwareAddress.text(port.hardwareAddress)
        let own = port.addresses.map { $0.description }
        return text.utf8.split(separator: 0x0a).contains { line in
            let words = line.split(separator: 0x20)
            guard words.count >= 3 else { return false }
            return own.contains(String(Substring(words[2]))) && String(Substring(words[1])) != station
        }
    }

    private static func owner(_ line: Substring.UTF8View) -> String {
        let words = line.split(separator: 0x20)
        return words.count < 3 ? "" : String(Substring(words[1])) + " " + String(Substring(words[2]))
    }

    /// Whether dnsmasq takes a machine's name for something else: a time such as `12h`, or a word of its own.
    private static func isOption(_ name: String) -> Bool {
        let hasUnit = name.utf8.last.map { "smhdw".utf8.contains($0) } ?? false
        let digits = name.utf8.dropLast(hasUnit ? 1 : 0)
        return ["ignore", "infinite"].contains(name)
            || !digits.isEmpty && digits.allSatisfy { (0x30...0x39).contains($0) }
    }
}
