public import AgentProtocol
import LinuxCalls
import Netlink

/// A network interface, as the kernel had it when it was asked.
public struct Link: Equatable, Sendable {
    /// Its number in its namespace, never 0; used again only after all others have been.
    public var index: UInt32
    public var name: ByteString
    /// `bridge`, `veth`, `tun` (which a TAP is); empty for the loopback and for hardware.
    public var kind: ByteString
    /// The link that it is a port of, such as a bridge; 0 for none.
    public var master: UInt32
    /// Of two links of which each receives what the other sends, the index of the other in its namespace; 0 for none.
    public var peer: UInt32
    public var hardwareAddress: [UInt8]
    /// In bytes, without the Ethernet header.
    public var maximumTransmissionUnit: UInt32
    /// Whether it has been brought up (IFF_UP).
    public var isUp: Bool
    /// Whether there is somebody at its other end and its queue has been started (IFF_LOWER_UP and IF_OPER_UP), which the kernel does a
    /// moment later: until then what is sent is dropped. Never so of the loopback.
    public var hasCarrier: Bool

    /// Reads a message about a link.
    ///
    /// Layout: family (1 byte), padding (1), hardware type (2), index (4), flags (4), change mask (4), attributes.
    /// Source: rtnetlink(7), Linux `linux/if_link.h`.
    /// - Throws: EPROTO when it is none.
    init(_ message: NetlinkMessage) throws(LinuxError) {
        index = try message.number(at: 4)
        let flags = try message.number(at: 8)
        isUp = flags & 1 != 0
        hasCarrier = false
        name = ""
        kind = ""
        master = 0
        peer = 0
        hardwareAddress = []
        maximumTransmissionUnit = 0
        var attributes = try message.attributes(after: 16)
        while let attribute = try attributes.next() {
            switch attribute.number {
            case RouteAttribute.linkName: name = ByteString(attribute.text)
            case RouteAttribute.linkPeer: peer = attribute.number() ?? 0
            case RouteAttribute.linkMaster: master = attribute.number() ?? 0
            case RouteAttribute.linkAddress: hardwareAddress = [UInt8](attribute.value)
            case RouteAttribute.linkMaximumTransmissionUnit: maximumTransmissionUnit = attribute.number() ?? 0
            case RouteAttribute.linkOperationalState:
                hasCarrier = flags & 1 << 16 != 0 && attribute.value.first == 6
            case RouteAttribute.linkInformation:
                if let kind = try attribute.attributes.first(RouteAttribute.informationKind) {
                    self.kind = ByteString(kind.text)
                }
            default: break
            }
        }
    }
}
