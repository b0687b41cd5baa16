public import FabricProtocol

/// Which packets are meant.
public indirect enum FilterExpression: Equatable, Sendable {
    case test(FilterTest)
    case not(FilterExpression)
    case and(FilterExpression, FilterExpression)
    case or(FilterExpression, FilterExpression)
}

/// One thing that is asked of a packet.
public enum FilterTest: Equatable, Sendable {
    /// Which of a packet's two ends.
    public enum Side: Equatable, Sendable { case source, destination, either }

    /// What follows the Ethernet header, and the tags behind it.
    case etherType(UInt16)
    /// Of IPv4 or IPv6, behind the extension headers of that one.
    case transport(UInt8)
    /// Where the network's family is carried: its packets, and ARP's of IPv4.
    /// - Parameter etherType: in packets of that type alone; nil: of each that has addresses of the family.
    case network(NetworkPrefix, Side, etherType: UInt16?)
    /// Of TCP, UDP or SCTP; what is not the first piece of a packet has none.
    case ports(ClosedRange<UInt16>, Side, transport: UInt8?)
    case station([UInt8], Side)
}

/// Numbers of protocols. Source: IANA, "IEEE 802 Numbers" and "Assigned Internet Protocol Numbers".
enum ProtocolNumber {
    static let ipv4: UInt16 = 0x0800
    static let arp: UInt16 = 0x0806
    static let reverseARP: UInt16 = 0x8035
    static let ipv6: UInt16 = 0x86dd
    static let tags: [UInt16] = [0x8100, 0x88a8, 0x9100]

    static let icmp: UInt8 = 1
    static let tcp: UInt8 = 6
    static let udp: UInt8 = 17
    static let icmp6: UInt8 = 58
    static let sctp: UInt8 = 132

    /// Headers of IPv6 that are as long as their second byte says, in units of eight.
    static let extensions: [UInt8] = [0, 43, 60, 135]
    static let fragment: UInt8 = 44
    static let authentication: UInt8 = 51
    /// So many headers are looked behind.
    static let mostExtensions = 6
}
