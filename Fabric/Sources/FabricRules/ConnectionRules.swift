/// How many connections a machine may have at once with what is not in its network, as nftables reads it: the kernel remembers
/// each of them, and one machine is not to take the room of all. An appliance between networks may have as many at each end: nobody looks at the
/// hardware addresses that it sends from. It is a table of its own, whose counting goes on while other rules change.
public enum ConnectionRules {
    static let table = "inet swiftlet-connections"
    public static let most = 8192

    public static func text(most: Int = most) -> String {
        var text = """
            add table \(table)
            add set \(table) machines { type ifname . ether_addr; size 65535; flags dynamic; }
            add set \(table) appliances { type ifname; size 65535; flags dynamic; }

            """
        for hook in ["input", "forward"] {
            text += """
                add chain \(table) \(hook) { type filter hook \(hook) priority -1; policy accept; }
                flush chain \(table) \(hook)
                add rule \(table) \(hook) iifname { "lo", "\(RoutingRules.uplink)" } accept
                add rule \(table) \(hook) iifname "n*" ct state new add @machines { iifname . ether saddr ct count over \(most) } \
                \(PortRules.drop("more connections than one machine may have"))
                add rule \(table) \(hook) iifname != "n*" ct state new add @appliances { iifname ct count over \(most) } \
                \(PortRules.drop("more connections than one appliance may have"))

                """
        }
        return text
    }
}
