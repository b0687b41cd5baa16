public import AgentProtocol
public import FabricProtocol

/// What a machine may send into its network, as nftables reads it: one chain for all machines, and sets that say which port has which
/// addresses. A change of a port is one of elements alone, of which neither `nft` nor the kernel looks at those that there are already. Who
/// leads out of a network has a chain of its own. Source: nft(8).
///
/// Trust: everything in the text is made of numbers, addresses and names that were checked when the plan was read.
public enum PortRules {
    static let table = "bridge swiftlet"
    private static let machine = "\(table) machine"

    /// By ports: hardware addresses of machines, but not of who leads out of the network; addresses, with that of the link, which are read
    /// where they stand in a header; whose packets are marked; and all there are, with what was dropped of each.
    private static let sets = """
        add table \(table)
        add set \(table) stations { type ifname . ether_addr; }
        add set \(table) addresses4 { type ifname . ipv4_addr; }
        add set \(table) addresses6 { typeof meta iifname . @nh,64,128; }
        add set \(table) held { type ifname; }
        add set \(table) dropped { type ifname; counter; }
        add map \(table) leaders { type ifname : verdict; }

        """

    /// The table and the chain of all machines. Which ports there are stays.
    public static let frame =
        sets + """
            add chain \(table) prerouting { type filter hook prerouting priority -300; policy accept; }
            add chain \(machine)
            flush chain \(table) prerouting
            flush chain \(machine)
            add rule \(table) prerouting meta iifname . ether saddr @stations goto machine
            add rule \(table) prerouting meta iifname vmap @leaders
            add rule \(table) prerouting \(counted("another machine's hardware address"))
            add rule \(machine) meta iifname @held meta mark set \(EgressRules.heldMark)

            """ + rules(machine, ofOthers: "ether type arp meta iifname . arp saddr ether != @stations", nil, nil)

    /// Takes the table away with all that is in it.
    public static let reset = "add table \(table)\ndelete table \(table)\n"

    /// What a port is and may, over the frame. A port that is other than it was is taken away before, in the same transaction.
    public static func text(of port: FabricPort, in network: FabricNetwork) -> String {
        let elements = elements(of: port, in: network).map { "add element \(table) \($0)\n" }.joined()
        guard let (led4, led6) = led(by: port, in: network) else { return elements }
        let (chain, station) = ("\(table) \(port.bridgePort)", HardwareAddress.text(port.hardwareAddress))
        return "add chain \(chain)\nflush chain \(chain)\n"
            + rule(chain, "ether saddr != \(station)", "another machine's hardware address")
            + rules(chain, ofOthers: "arp saddr ether != \(station)", led4, led6) + elements
    }

    /// Takes a port away, whether or not it is there.
    public static func removal(of port: FabricPort, in network: FabricNetwork) -> String {
        let isLeader = led(by: port, in: network) != nil
        let chain = "chain \(table) \(port.bridgePort)\n"
        var text = sets + (isLeader ? "add \(chain)" : "")
        for element in elements(of: port, in: network) {
            text += "add element \(table) \(element)\ndelete element \(table) \(element)\n"
        }
        return text + (isLeader ? "flush \(chain)delete \(chain)" : "")
    }

    /// What it hands on from elsewhere is not from there; nil: it leads nowhere.
    private static func led(
        by port: FabricPort, in network: FabricNetwork
    ) -> (v4: NetworkPrefix?, v6: NetworkPrefix?)? {
        let led = network.prefixes(ledBy: port)
        return led.isEmpty ? nil : (led.first { $0.family == .v4 }, led.first { $0.family == .v6 })
    }

    /// What is in the sets of a port.
    private static func elements(of port: FabricPort, in network: FabricNetwork) -> [String] {
        let name = "\"\(port.bridgePort)\""
        func all(_ values: [String]) -> String { values.map { "\(name) . \($0)" }.joined(separator: ", ") }
        let own4 = port.addresses.filter { $0.family == .v4 }.map { $0.description }
        let link = linkAddress(of: port.hardwareAddress)
        let own6 = port.addresses.filter { $0.family == .v6 && $0 != link } + [link]
        var elements = [
            "addresses4 { \(all(own4.isEmpty ? ["0.0.0.0"] : own4)) }", "addresses6 { \(all(own6.map(hexadecimal))) }",
            "dropped { \(name) }",
        ]
        // Let go again by those rules alone: where they are not, nothing gets out.
        if port.egress != nil { elements.append("held { \(name) }") }
        elements.append(
            led(by: port, in: network) == nil
                ? "stations { \(name) . \(HardwareAddress.text(port.hardwareAddress)) }"
                : "leaders { \(name) : goto \(port.bridgePort) }")
        return elements
    }

    /// Of frames with the port's own hardware address. Who leads out of the network hands on what others send, gives
    /// addresses, and says that it is a router; but it is none of the machines there.
    /// - Parameter ofOthers: an ARP answer with another hardware address.
    private static func rules(
        _ chain: String, ofOthers: String, _ led4: NetworkPrefix?, _ led6: NetworkPrefix?
    ) -> String {
        var rules = ""
        // Linux takes what has a priority tag as if it had none; the rules below look behind no tag.
        for tag in ["8021q", "8021ad"] { rules += rule(chain, "ether type \(tag)", "a frame with a tag") }
        if led4 == nil { rules += rule(chain, "ether type ip udp sport 67", "a DHCP server's answer") }
        // Who asks for an address has none yet.
        rules += "add rule \(chain) ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept\n"
        rules += rule(
            chain, "ether type ip \(within("ip saddr", led4))meta iifname . ip saddr != @addresses4",
            "another machine's address")
        // No rule below is about it.
        rules += "add rule \(chain) ether type ip accept\n"
        // Who asks whether an address is taken has none yet. Source: RFC 5227 §2.1.1.
        rules += rule(chain, ofOthers, "an ARP answer for others")
        rules += rule(
            chain, "ether type arp arp saddr ip != 0.0.0.0 meta iifname . arp saddr ip != @addresses4",
            "an ARP answer for others")
        if led6 == nil {
            rules += rule(chain, "ether type ip6 udp sport 547", "a DHCP server's answer")
            rules += rule(chain, "icmpv6 type nd-router-advert", "a router's announcement")
        }
        rules += rule(chain, "icmpv6 type nd-redirect", "a router's announcement")
        return rules + neighbours(chain, leadingOutOf: led6)
    }

    /// A machine may say of its own addresses that they are its own, and ask whether they are taken; and of an address of the
    /// link that it has drawn. Those that are made of a hardware address, as the gateway's and most machines' are, belong
    /// to who has that one. Source: RFC 4861 §4.3 and §4.4, whose target is 64 bits into the message; RFC 4862 §5.4.
    private static func neighbours(_ chain: String, leadingOutOf led: NetworkPrefix?) -> String {
        let target = "meta iifname . @th,64,128 != @addresses6"
        let source = "meta iifname . @nh,64,128 != @addresses6"
        var rules = ""
        for (message, reason) in [
            ("icmpv6 type nd-neighbor-advert", "an announcement for others"),
            ("ip6 saddr :: icmpv6 type nd-neighbor-solicit", "a claim on an address of others"),
        ] {
            rules += rule(chain, "\(message) @th,64,16 & 0xffc0 != 0xfe80 \(target)", reason)
            // 0xfffe stands between the halves of a hardware address. Source: RFC 4291, appendix A.
            rules += rule(chain, "\(message) @th,64,16 & 0xffc0 == 0xfe80 @th,152,16 0xfffe \(target)", reason)
        }
        rules += rule(
            chain, "ip6 saddr fe80::/10 @nh,152,16 0xfffe \(source)", "another machine's address of the link")
        rules += rule(
            chain, "ether type ip6 \(within("ip6 saddr", led))ip6 saddr != :: ip6 saddr != fe80::/10 \(source)",
            "another machine's address")
        return rules
    }

    /// Made of a hardware address. Source: RFC 4291, appendix A.
    public static func linkAddress(of station: [UInt8]) -> IPAddress {
        let bytes =
            [0xfe, 0x80, 0, 0, 0, 0, 0, 0, station[0] ^ 2, station[1], station[2], 0xff, 0xfe] + station[3..<6]
        return IPAddress(networkOrder: bytes) ?? IPAddress(v4: 0, 0, 0, 0)
    }

    private static func rule(_ chain: String, _ match: String, _ reason: String) -> String {
        "add rule \(chain) \(match) \(counted(reason))\n"
    }

    /// Of the rule and of the port. Every port is in this set.
    private static func counted(_ reason: String) -> String { "meta iifname @dropped \(drop(reason))" }

    /// The reason is what `swiftlet trace` says.
    static func drop(_ reason: String) -> String { "counter drop comment \"\(reason)\"" }

    /// What comes from elsewhere is handed on.
    private static func within(_ field: String, _ led: NetworkPrefix?) -> String { led.map { "\(field) \($0) " } ?? "" }

    private static func hexadecimal(_ address: IPAddress) -> String {
        var text = "0x"
        for byte in address.bytes { text += (byte < 16 ? "0" : "") + String(byte, radix: 16) }
        return text
    }
}
