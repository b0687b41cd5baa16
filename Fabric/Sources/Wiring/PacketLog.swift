public import AgentProtocol
public import LinuxCalls
import Netlink
import WireFormats

/// A packet that a rule of nftables has written down.
public struct LoggedPacket: Equatable, Sendable {
    /// What the rule said.
    public var prefix: String
    public var destination: IPAddress
    /// As the kernel numbers them: 6 is TCP, 17 UDP.
    public var transport: UInt8
    /// Nil for what has none, and for what is not the first piece of a packet.
    public var port: UInt16?
}

/// The kernel's packet log of the network namespace that the thread is in when this is made: what rules with `log group` write.
/// Source: Linux `linux/netfilter/nfnetlink_log.h`.
public final class PacketLog {
    private static let mostTaken = 256
    // NFNL_SUBSYS_ULOG, with NFULNL_MSG_PACKET and NFULNL_MSG_CONFIG.
    private static let packet: UInt16 = 4 << 8
    private static let configuration: UInt16 = 4 << 8 | 1
    private static let payloadAttribute: UInt16 = 9
    private static let prefixAttribute: UInt16 = 10

    private let session: NetlinkSession

    /// To be watched for being readable.
    public var descriptor: Int32 { session.descriptor }

    /// - Parameters:
    ///   - group: that nobody else in the namespace reads.
    ///   - mostBytes: of each packet.
    public init(group: UInt16, mostBytes: UInt32) throws(LinuxError) {
        var session = try NetlinkSession(.netfilter)
        // NFULNL_CFG_CMD_BIND
        var bind = Self.request(group)
        bind.attribute(1, [1])
        try session.perform(bind)
        // NFULNL_COPY_PACKET with how much of it; and how many packets the kernel collects before it tells of them.
        var mode = Self.request(group)
        mode.attribute(2, Self.networkOrder(mostBytes) + [2, 0])
        mode.attribute(5, Self.networkOrder(1))
        try session.perform(mode)
        self.session = session
    }

    private static func networkOrder(_ number: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * UInt32($0))) }
    }

    private static func request(_ group: UInt16) -> NetlinkRequest {
        var request = NetlinkRequest(configuration)
        // AF_UNSPEC, NFNETLINK_V0, the group in network order.
        request.body.writeBytes([0, 0, UInt8(group >> 8), UInt8(truncatingIfNeeded: group)])
        return request
    }

    /// What was written since the last call, as far as it can be read; some of it when there is very much. Never waits.
    public func next() -> [LoggedPacket] {
        var packets: [LoggedPacket] = []
        for _ in 0..<Self.mostTaken {
            do throws(LinuxError) {
                var messages = try session.hear()
                while let message = try messages.next() {
                    if let packet = try Self.packet(message) { packets.append(packet) }
                }
            } catch {
                if error == .tryAgain { break }
            }
        }
        return packets
    }

    /// Trust: the packet is a guest's.
    static func packet(_ message: NetlinkMessage) throws(LinuxError) -> LoggedPacket? {
        guard message.type == packet else { return nil }
        let attributes = try message.attributes(after: 4)
        guard let prefix = try attributes.first(prefixAttribute),
            let payload = try attributes.first(payloadAttribute)
        else { return nil }
        return LoggedPacket(prefix: String(decoding: prefix.text, as: UTF8.self), packet: payload.value)
    }
}

extension LoggedPacket {
    /// Reads the head of a packet of IPv4 or IPv6; nil when it is none. Source: RFC 791 §3.1, RFC 8200 §3 and §4.
    init?(prefix: String, packet: ArraySlice<UInt8>) {
        func byte(_ place: Int) -> UInt8? { place < packet.count ? packet[packet.startIndex + place] : nil }
        func address(_ place: Int, _ count: Int) -> IPAddress? {
            guard place + count <= packet.count else { return nil }
            return IPAddress(networkOrder: Array(packet.dropFirst(place).prefix(count)))
        }
        guard let first = byte(0) else { return nil }
        var contents: Int
        var isFirstPiece = true
        if first >> 4 == 4 {
            guard let own = address(16, 4), let kind = byte(9), let piece = byte(6), let rest = byte(7) else {
                return nil
            }
            (destination, transport, contents) = (own, kind, Int(first & 15) * 4)
            isFirstPiece = piece & 0x1f == 0 && rest == 0
        } else if first >> 4 == 6 {
            guard let own = address(24, 16), var kind = byte(6) else { return nil }
            contents = 40
            // Options for hops and destinations, routing; at most as many as a packet of this length holds.
            while [0, 43, 60].contains(kind), let next = byte(contents), let length = byte(contents + 1) {
                kind = next
                contents += (Int(length) + 1) * 8
            }
            // A piece.
            if kind == 44, let next = byte(contents), let high = byte(contents + 2), let low = byte(contents + 3) {
                kind = next
                isFirstPiece = high == 0 && low & 0xf8 == 0
                contents += 8
            }
            (destination, transport) = (own, kind)
        } else {
            return nil
        }
        self.prefix = prefix
        port = nil
        if isFirstPiece, [6, 17, 132, 136].contains(transport), let high = byte(contents + 2),
            let low = byte(contents + 3)
        {
            port = UInt16(high) << 8 | UInt16(low)
        }
    }
}
