import AgentProtocol
import FabricProtocol

/// Who answers machines that find the names of several networks, as nftables reads it: what they ask gateways at port 53 is led to the
/// port of who answers for their view, at the gateway of the network that it comes from. A table of its own; machines are elements of its sets.
/// Source: nft(8).
public enum NameRules {
    static let table = "inet swiftlet-names"
    /// Of those who answer. Below those that programs ask from.
    public static let ports: ClosedRange<UInt16> = 512...1023
    /// On packets of those who may ask there.
    static let mark = 0x5358

    /// Where the questions of one port's machine go.
    public struct Way: Equatable, Sendable {
        public var bridge: String
        public var hardwareAddress: [UInt8]
        public var server: UInt16

        public init(bridge: String, hardwareAddress: [UInt8], server: UInt16) {
            self.bridge = bridge
            self.hardwareAddress = hardwareAddress
            self.server = server
        }
    }

    private static let sets = """
        add table \(table)
        add map \(table) servers { type ifname . ether_addr : inet_service; }
        add set \(table) askers { type ifname . ether_addr . inet_service; }

        """

    /// Of who may not reach everything, whomever it asks.
    private static let led = "meta l4proto { tcp, udp } th dport 53 redirect to :iifname . ether saddr map @servers\n"

    /// The table. Which machines there are stays.
    public static let frame =
        sets + """
            add chain \(table) names { type nat hook prerouting priority dstnat - 1; policy accept; }
            flush chain \(table) names
            \(["fib daddr type local", "meta mark \(EgressRules.heldMark)"].map { "add rule \(table) names \($0) \(led)" }.joined())\
            add chain \(table) input { type filter hook input priority -3; policy accept; }
            flush chain \(table) input
            add rule \(table) input meta l4proto { tcp, udp } iifname . ether saddr . th dport @askers meta mark set \(mark) accept
            add rule \(table) input iifname "n*" meta l4proto { tcp, udp } th dport \(ports.lowerBound)-\(ports.upperBound) \
            \(PortRules.drop("the names of other networks than those that the machine is in"))

            """

    /// Forgets all machines.
    public static let reset = "\(frame)flush map \(table) servers\nflush set \(table) askers\n"

    /// What leads a machine's questions. Another way that it had is taken away before, in a transaction of its own: read once more, that would
    /// contradict this one.
    public static func text(_ way: Way) -> String {
        elements(way).map { "add element \(table) \($0)\n" }.joined()
    }

    /// Takes ways away, whether or not they are there.
    public static func removal(_ ways: [Way]) -> String {
        let elements = ways.flatMap(elements)
        return elements.isEmpty
            ? "" : sets + elements.map { "add element \(table) \($0)\ndelete element \(table) \($0)\n" }.joined()
    }

    private static func elements(_ way: Way) -> [String] {
        let station = "\"\(way.bridge)\" . \(HardwareAddress.text(way.hardwareAddress))"
        return ["servers { \(station) : \(way.server) }", "askers { \(station) . \(way.server) }"]
    }
}
