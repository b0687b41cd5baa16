public import AgentProtocol
public import FabricProtocol

/// What a machine may send into its network, as nftables reads it: a chain for each port of a bridge, reached by one look
/// into a map however many ports there are. Source: nft(8).
///
/// Trust: everything in the text is made of numbers, addresses and names that were checked when the plan was read.
public enum PortRules {
    static let table = "bridge swiftlet"

    /// The table, empty, where there is none; what is in it stays.
    public static let frame = """
        add table \(table)
        add map \(table) ports { type ifname : verdict; }
        add chain \(table) prerouting { type filter hook prerouting priority -300; policy accept; }
        flush chain \(table) prerouting
        add rule \(table) prerouting meta iifname vmap @ports

        """

    /// Takes the table away with all that is in it.
    public static let reset = "add table \(table)\ndelete table \(table)\n"

    /// The chain of a port, made or made anew, and the way to it. Who leads out of the network hands on what others send, gives
    /// addresses, and says that it is a router; but it is none of the machines there.
    public static func text(of port: FabricPort, in network: FabricNetwork) -> String {
        let led = network.prefixes(ledBy: port)
        let (led4, led6) = (led.first { $0.family == .v4 }, led.first { $0.family == .v6 })
        let chain = "\(table) \(port.bridgePort)"
        var rules = """
            add chain \(chain)
            flush chain \(chain)
            add rule \(chain) ether saddr != \(HardwareAddress.text(port.hardwareAddress)) \(drop("another machine's hardware address"))

            """
        // Let go again by those rules alone: where they are not, nothing gets out.
        if port.egress != nil { rules += "add rule \(chain) meta mark set \(EgressRules.heldMark)\n" }
        // Linux takes what has a priority tag as if it had none; the rules below look behind no tag.
        for tag in ["8021q", "8021ad"] { rules += rule(chain, "ether type \(tag)", "a frame with a tag") }
        let own4 = port.addresses.filter { $0.family == .v4 }.map { $0.description }
        let own6 = port.addresses.filter { $0.family == .v6 }
        // Who asks whether an address is taken has none yet. Source: RFC 5227 §2.1.1.
        rules += rule(
            chain, "arp saddr ether != \(HardwareAddress.text(port.hardwareAddress))", "an ARP answer for others")
        rules += rule(chain, "ether type arp \(none("arp saddr ip", own4 + ["0.0.0.0"]))", "an ARP answer for others")
        if led4 == nil { rules += rule(chain, "ether type ip udp sport 67", "a DHCP server's answer") }
        if led6 == nil {
            rules += rule(chain, "ether type ip6 udp sport 547", "a DHCP server's answer")
            rules += rule(chain, "icmpv6 type nd-router-advert", "a router's announcement")
        }
        rules += rule(chain, "icmpv6 type nd-redirect", "a router's announcement")
        // Who asks for an address has none yet.
        rules += "add rule \(chain) ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept\n"
        rules += rule(
            chain, "ether type ip \(within("ip saddr", led4))\(none("ip saddr", own4.isEmpty ? ["0.0.0.0"] : own4))",
            "another machine's address")
        rules += neighbours(chain, own6, of: port.hardwareAddress, leadingOutOf: led6)
        return rules + "add element \(table) ports { \"\(port.bridgePort)\" : jump \(port.bridgePort) }\n"
    }

    /// A machine may say of its own addresses that they are its own, and ask whether they are taken; and of an address of the
    /// link that it has drawn. Those that are made of a hardware address, as the gateway's and most machines' are, belong
    /// to who has that one. Source: RFC 4861 §4.3 and §4.4, whose target is 64 bits into the message; RFC 4862 §5.4.
    private static func neighbours(
        _ chain: String, _ own: [IPAddress], of station: [UInt8], leadingOutOf led: NetworkPrefix?
    ) -> String {
        let link = linkAddress(of: station)
        let others = own.map { " @th,64,128 != \(hexadecimal($0))" }.joined()
        // 0xfffe stands between the halves of a hardware address. Source: RFC 4291, appendix A.
        let ofLink = "@th,152,16 0xfffe @th,64,128 != \(hexadecimal(link))"
        var rules = ""
        for (message, reason) in [
            ("icmpv6 type nd-neighbor-advert", "an announcement for others"),
            ("ip6 saddr :: icmpv6 type nd-neighbor-solicit", "a claim on an address of others"),
        ] {
            rules += rule(chain, "\(message) @th,64,16 & 0xffc0 != 0xfe80\(others)", reason)
            rules += rule(chain, "\(message) @th,64,16 & 0xffc0 == 0xfe80 \(ofLink)", reason)
        }
        rules += rule(
            chain, "ip6 saddr fe80::/10 @nh,152,16 0xfffe ip6 saddr != \(link)", "another machine's address of the link"
        )
        rules += rule(
            chain,
            "ether type ip6 \(within("ip6 saddr", led))\(none("ip6 saddr", own.map { $0.description } + ["::", "fe80::/10"]))",
            "another machine's address")
        return rules
    }

    /// Made of a hardware address. Source: RFC 4291, appendix A.
    public static func linkAddress(of station: [UInt8]) -> IPAddress {
        let bytes =
            [0xfe, 0x80, 0, 0, 0, 0, 0, 0, station[0] ^ 2, station[1], station[2], 0xff, 0xfe] + station[3..<6]
        return IPAddress(networkOrder: bytes) ?? IPAddress(v4: 0, 0, 0, 0)
    }

    /// Takes a port's chain away, whether or not it is there.
    public static func removal(of port: FabricPort) -> String {
        """
        add table \(table)
        add map \(table) ports { type ifname : verdict; }
        add chain \(table) \(port.bridgePort)
        add element \(table) ports { "\(port.bridgePort)" : jump \(port.bridgePort) }
        delete element \(table) ports { "\(port.bridgePort)" }
        flush chain \(table) \(port.bridgePort)
        delete chain \(table) \(port.bridgePort)

        """
    }

    private static func rule(_ chain: String, _ match: String, _ reason: String) -> String {
        "add rule \(chain) \(match) \(drop(reason))\n"
    }

    /// The reason is what `swiftlet trace` says.
    static func drop(_ reason: String) -> String { "counter drop comment \"\(reason)\"" }

    /// Without a set, of which `nft` reads all that there are before it changes anything.
    private static func none(_ field: String, _ values: [String]) -> String {
        values.map { "\(field) != \($0)" }.joined(separator: " ")
    }

    /// What comes from elsewhere is handed on.
    private static func within(_ field: String, _ led: NetworkPrefix?) -> String { led.map { "\(field) \($0) " } ?? "" }

    private static func hexadecimal(_ address: IPAddress) -> String {
        var text = "0x"
        for byte in address.bytes { text += (byte < 16 ? "0" : "") + String(byte, radix: 16) }
        return text
    }
}
