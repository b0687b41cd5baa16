public import AgentProtocol

/// What an appliance between networks that routes has at its ends: next hops that the fabric answers for, addresses of its own, and the port of
/// the probes that it lets pass. The same between any two networks: all of it is of the link alone. Source: RFC 3927 §2.6, RFC 4291 §2.5.6.
public enum RouterHops {
    /// Whom it sends packets to that are for the network at its inside, or at its outside.
    public static let gateways = (
        inside: IPAddress(v4: 169, 254, 83, 1), outside: IPAddress(v4: 169, 254, 84, 1)
    )
    /// From which it asks for these.
    public static let own = (inside: IPAddress(v4: 169, 254, 83, 2), outside: IPAddress(v4: 169, 254, 84, 2))
    /// Both of IPv6: fe80::1.
    public static let gateway6 = IPAddress(networkOrder: [0xfe, 0x80] + [UInt8](repeating: 0, count: 13) + [1])
    /// Of UDP.
    public static let probePort: UInt16 = 21_335
}
