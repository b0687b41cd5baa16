import AgentProtocol
import FabricProtocol

@testable import FabricEngine

/// What an appliance between two networks that routes does to a packet of IPv4: hands on what is for it, to the fabric's station at the other side.
struct RoutedPackets {
    private let own: InlineAppliance.Stations
    private let next: InlineAppliance.Stations

    /// - Parameter passage: the port between the networks.
    init(_ own: InlineAppliance.Stations, at passage: UInt16) {
        self.own = own
        next = InlineAppliance.Stations(
            inside: FabricPort.upperStation(passage), outside: FabricPort.lowerStation(passage))
    }

    /// Nil for what is for others, or is no such packet.
    func handedOn(_ frame: [UInt8], isOutward: Bool) -> [UInt8]? {
        let place = TapUser.headerBytes
        let (arrival, exit) = isOutward ? (own.inside, own.outside) : (own.outside, own.inside)
        guard frame.count >= place + 34, Array(frame[place..<(place + 6)]) == arrival,
            Array(frame[(place + 12)..<(place + 15)]) == [0x08, 0x00, 0x45], frame[place + 22] > 1
        else { return nil }
        var frame = frame
        frame.replaceSubrange(place..<(place + 12), with: (isOutward ? next.outside : next.inside) + exit)
        frame[place + 22] -= 1
        let packet = (place + 14)..<(place + 34)
        frame.replaceSubrange(packet, with: Self.summed(Array(frame[packet])))
        return frame
    }

    /// The type of a frame, and the headers of a datagram in it. Source: RFC 791 §3.1, RFC 768.
    static func head(from: IPAddress, to: IPAddress, contentsBytes: Int) -> [UInt8] {
        let length = UInt8(28 + contentsBytes)
        let packet: [UInt8] = [0x45, 0, 0, length, 0, 0, 0x40, 0, 64, 17, 0, 0] + from.bytes + to.bytes
        // From the port 7 to that; without a sum.
        return [0x08, 0x00] + summed(packet) + [0, 7, 0, 7, 0, length - 20, 0, 0]
    }

    /// Source: RFC 1071 §1.
    private static func summed(_ header: [UInt8]) -> [UInt8] {
        var header = header
        (header[10], header[11]) = (0, 0)
        var sum = stride(from: 0, to: header.count, by: 2).reduce(UInt32(0)) { sum, place in
            sum + UInt32(header[place]) << 8 + UInt32(header[place + 1])
        }
        while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
        (header[10], header[11]) = (UInt8(truncatingIfNeeded: ~sum >> 8), UInt8(truncatingIfNeeded: ~sum))
        return header
    }
}
