public import AgentProtocol
import FabricProtocol

/// What a frame is, in plain words.
///
/// Trust: anybody's bytes. Nothing of them is printed but numbers; what is shorter than it should be is said to be cut.
public struct PacketSummary {
    private let frame: [UInt8]
    private var text: ByteString = ""

    /// - Parameter length: that of the whole frame.
    public static func text(_ frame: [UInt8], length: Int) -> ByteString {
        var summary = PacketSummary(frame: frame)
        summary.ethernet()
        return summary.text + ", " + ByteString(UInt64(max(0, length))) + " bytes"
    }

    private init(frame: [UInt8]) { self.frame = frame }

    // MARK: Reading

    private func number(_ place: Int, _ count: Int) -> UInt64? {
        guard place >= 0, place + count <= frame.count else { return nil }
        return frame[place..<place + count].reduce(0) { $0 << 8 | UInt64($1) }
    }

    private func address(_ place: Int, _ count: Int) -> ByteString? {
        guard place >= 0, place + count <= frame.count else { return nil }
        return IPAddress(networkOrder: Array(frame[place..<place + count]))?.text
    }

    private func station(_ place: Int) -> ByteString {
        guard place + 6 <= frame.count else { return "?" }
        return ByteString(HardwareAddress.text(Array(frame[place..<place + 6])))
    }

    private mutating func cut(_ name: ByteString) { text += name + " (cut)" }

    // MARK: Layers

    private mutating func ethernet() {
        guard var type = number(12, 2).flatMap({ UInt16(exactly: $0) }) else { return cut("frame") }
        var place = 14
        for _ in 0..<2 where ProtocolNumber.tags.contains(type) {
            guard let tag = number(place, 2), let next = number(place + 2, 2) else { return cut("tag") }
            text += "vlan " + ByteString(tag & 0xfff) + " "
            type = UInt16(truncatingIfNeeded: next)
            place += 4
        }
        switch type {
        case ProtocolNumber.ipv4: version4(place)
        case ProtocolNumber.ipv6: version6(place)
        case ProtocolNumber.arp: resolution(place)
        default:
            text += type < 0x600 ? "frame " : "type 0x" + ByteString(type, radix: 16) + " "
            text += station(6) + " > " + station(0)
        }
    }

    /// Source: RFC 826.
    private mutating func resolution(_ place: Int) {
        guard let operation = number(place + 6, 2), let sender = address(place + 14, 4),
            let target = address(place + 24, 4)
        else { return cut("arp") }
        switch operation {
        case 1: text += "arp who has " + target + "? tell " + sender
        case 2: text += "arp " + sender + " is at " + station(place + 8)
        default: text += "arp operation " + ByteString(operation)
        }
    }

    /// Source: RFC 791 §3.1.
    private mutating func version4(_ place: Int) {
        guard let head = number(place, 1), let protocolNumber = number(place + 9, 1), let piece = number(place + 6, 2),
            let source = address(place + 12, 4), let destination = address(place + 16, 4)
        else { return cut("ip") }
        let offset = (piece & 0x1fff) * 8
        transport(UInt8(truncatingIfNeeded: protocolNumber), place + Int(head & 0xf) * 4, offset, source, destination)
        if offset == 0, piece & 0x2000 != 0 { text += " first piece" }
    }

    /// Source: RFC 8200 §3 and §4.
    private mutating func version6(_ place: Int) {
        guard var next = number(place + 6, 1).map({ UInt8(truncatingIfNeeded: $0) }),
            let source = address(place + 8, 16),
            let destination = address(place + 24, 16)
        else { return cut("ip6") }
        var place = place + 40
        var offset: UInt64 = 0
        for _ in 0..<ProtocolNumber.mostExtensions {
            let isPiece = next == ProtocolNumber.fragment
            let isAuthentication = next == ProtocolNumber.authentication
            guard isPiece || isAuthentication || ProtocolNumber.extensions.contains(next) else { break }
            guard let following = number(place, 1), let length = number(place + 1, 1), let piece = number(place + 2, 2)
            else { break }
            next = UInt8(truncatingIfNeeded: following)
            place += isPiece ? 8 : isAuthentication ? (Int(length) + 2) * 4 : (Int(length) + 1) * 8
            if isPiece {
                offset = piece & 0xfff8
                if offset != 0 { break }
            }
        }
        transport(next, place, offset, source, destination)
    }

    private mutating func transport(
        _ number: UInt8, _ place: Int, _ offset: UInt64, _ source: ByteString, _ destination: ByteString
    ) {
        let names: [UInt8: ByteString] = [
            ProtocolNumber.tcp: "tcp", ProtocolNumber.udp: "udp", ProtocolNumber.icmp: "icmp",
            ProtocolNumber.icmp6: "icmp6", ProtocolNumber.sctp: "sctp", 2: "igmp", 47: "gre", 50: "esp",
        ]
        text += names[number] ?? "protocol " + ByteString(number)
        text += " "
        guard offset == 0 else {
            text += source + " > " + destination + " piece at " + ByteString(offset)
            return
        }
        let hasPorts = [ProtocolNumber.tcp, ProtocolNumber.udp, ProtocolNumber.sctp].contains(number)
        if hasPorts, let from = self.number(place, 2), let to = self.number(place + 2, 2) {
            let isVersion6 = source.bytes.contains(0x3a)
            func end(_ address: ByteString, _ port: UInt64) -> ByteString {
                (isVersion6 ? "[" + address + "]" : address) + ":" + ByteString(port)
            }
            text += end(source, from) + " > " + end(destination, to)
        } else {
            text += source + " > " + destination
            if hasPorts { text += " (cut)" }
        }
        switch number {
        case ProtocolNumber.tcp: flags(place)
        case ProtocolNumber.icmp: message(place, Self.messages)
        case ProtocolNumber.icmp6: message(place, Self.messages6)
        default: break
        }
    }

    /// Source: RFC 9293 §3.1.
    private mutating func flags(_ place: Int) {
        guard let flags = number(place + 13, 1) else { return }
        let names: [ByteString] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"]
        for (bit, name) in names.enumerated() where flags >> UInt64(bit) & 1 != 0 { text += " " + name }
    }

    private mutating func message(_ place: Int, _ names: [UInt64: ByteString]) {
        guard let type = number(place, 1), let code = number(place + 1, 1) else { return }
        text += " " + (names[type] ?? "type " + ByteString(type))
        if code != 0 { text += " code " + ByteString(code) }
        let isEcho = names[type]?.hasPrefix("echo") ?? false
        if isEcho, let sequence = number(place + 6, 2) { text += " " + ByteString(sequence) }
    }

    /// Source: RFC 792.
    private static var messages: [UInt64: ByteString] {
        [0: "echo answer", 3: "unreachable", 5: "redirect", 8: "echo", 11: "time exceeded"]
    }

    /// Source: RFC 4443, RFC 4861 §4, RFC 2710, RFC 3810.
    private static var messages6: [UInt64: ByteString] {
        [
            1: "unreachable", 2: "too big", 3: "time exceeded", 128: "echo", 129: "echo answer",
            133: "router solicitation", 134: "router advertisement", 135: "neighbour solicitation",
            136: "neighbour advertisement", 137: "redirect", 143: "listener report",
        ]
    }
}
