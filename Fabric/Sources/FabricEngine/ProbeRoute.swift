import AgentProtocol
import FabricProtocol

/// How probes get through an appliance that routes: as packets from one network's own address to the other's, which nobody else sends
/// that way.
struct ProbeRoute: Equatable {
    /// One of its two ends.
    struct Side: Equatable {
        /// The own address of the network there.
        var address: IPAddress
        /// The hardware address that the appliance takes for its next hop's.
        var own: [UInt8]
        /// The appliance's hardware address there.
        var station: [UInt8]
    }

    var inside: Side
    var outside: Side

    /// A datagram of UDP in a packet in a frame, which goes in at one end. Source: RFC 768, RFC 791 §3.1, RFC 8200 §3 and §8.1.
    func frame(_ contents: [UInt8], isOutward: Bool) -> [UInt8] {
        let (from, to) = isOutward ? (inside, outside) : (outside, inside)
        let length = Self.bytes(UInt16(truncatingIfNeeded: 8 + contents.count))
        let ports = Self.bytes(RouterHops.probePort) + Self.bytes(RouterHops.probePort)
        // Together with addresses, length and protocol.
        let sum = InternetChecksum.of(
            from.address.bytes + to.address.bytes + length + [0, 17] + ports + length + contents)
        let datagram = ports + length + Self.bytes(sum == 0 ? 0xffff : sum) + contents
        let head = from.station + from.own
        let addresses = from.address.bytes + to.address.bytes
        // Sent on 64 times at most.
        if from.address.family == .v6 {
            return head + [0x86, 0xdd, 0x60, 0, 0, 0] + length + [17, 64] + addresses + datagram
        }
        // Not to be split.
        var packet: [UInt8] = [0x45, 0] + Self.bytes(UInt16(truncatingIfNeeded: 20 + datagram.count))
        packet += [0, 0, 0x40, 0, 64, 17]
        let check = Self.bytes(InternetChecksum.of(packet + addresses))
        return head + [0x08, 0x00] + packet + check + addresses + datagram
    }

    private static func bytes(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 0xff)] }
}
