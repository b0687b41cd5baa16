import AgentProtocol

/// What makes two frames the same, but for what a router rightly changes (stations, time to live, sums over these), and what is alike
/// where addresses were translated.
package struct FrameIdentity: Equatable {
    /// Bytes of a TCP connection: they come together or apart as everyone likes who carries them.
    package struct Segment: Equatable {
        /// Of the connection, one way.
        var flow: UInt64
        var sequence: UInt32
        var length: UInt32
    }

    var whole: UInt64
    /// Of what it carries alone.
    var contents: UInt64
    var segment: Segment?
    /// For people.
    var words: String

    /// Nil for what is too short to be a frame, and for probes.
    ///
    /// Trust: guests send what they like; no input traps.
    package init?(_ frame: ArraySlice<UInt8>, length: Int) {
        let bytes = ByteReader(frame)
        guard frame.count >= 14 else { return nil }
        let type = bytes.half(12)
        // The probes' own.
        if type == 0x88b5 { return nil }
        (whole, contents) = (Self.digest(bytes.rest(12)), Self.digest(bytes.rest(14)))
        words = type == 0x0806 ? "ARP" : "frames of type " + String(type, radix: 16)
        switch type {
        case 0x0800 where frame.count >= 34:
            let head = Int(bytes.byte(14) & 15) * 4
            // Behind its end a short frame is padded.
            let end = min(frame.count, 14 + Int(bytes.half(16)) > 34 ? 14 + Int(bytes.half(16)) : frame.count)
            guard head >= 20, 14 + head <= end else { return }
            take(
                bytes, bytes.byte(23), addresses: 26..<34, start: 14 + head, end: end,
                length: min(length, 14 + max(head, Int(bytes.half(16)))),
                isWhole: bytes.half(20) & 0x3fff == 0)
        case 0x86dd where frame.count >= 54:
            let end = min(frame.count, 54 + Int(bytes.half(18)))
            take(bytes, bytes.byte(20), addresses: 22..<54, start: 54, end: end, length: length, isWhole: true)
        default: break
        }
    }

    /// What a packet carries.
    /// - Parameter isWhole: otherwise it is a fragment, of which the first alone says more.
    private mutating func take(
        _ bytes: ByteReader, _ transport: UInt8, addresses: Range<Int>, start: Int, end: Int, length: Int, isWhole: Bool
    ) {
        let half = addresses.count / 2
        let source = IPAddress(networkOrder: bytes.slice(addresses.lowerBound..<addresses.lowerBound + half))
        let target = IPAddress(networkOrder: bytes.slice(addresses.lowerBound + half..<addresses.upperBound))
        let ends = [UInt8](bytes.slice(addresses)) + [transport]
        var (from, to) = (source?.description ?? "", target?.description ?? "")
        func say(_ name: String) { words = name + " " + from + " → " + to }
        let hasPorts = isWhole && (transport == 6 || transport == 17) && end >= start + 8
        var key = Self.digest(ends[...])
        if hasPorts {
            key = Self.digest(bytes.slice(start..<start + 4)[...], key)
            let isIPv6 = half == 16
            from = (isIPv6 ? "[" + from + "]" : from) + ":" + String(bytes.half(start))
            to = (isIPv6 ? "[" + to + "]" : to) + ":" + String(bytes.half(start + 2))
        }
        switch transport {
        case 6 where hasPorts && end >= start + 20:
            say("TCP")
            let head = Int(bytes.byte(start + 12) >> 4) * 4
            let flags = bytes.byte(start + 13)
            let carried = length - start - head
            if carried > 0, flags & 2 == 0 {
                segment = Segment(
                    flow: key, sequence: bytes.word(start + 4), length: UInt32(truncatingIfNeeded: min(carried, 65_536))
                )
            }
            // Numbers of what is sent and of what has come; FIN, SYN, RST.
            let numbers = bytes.slice(start + 4..<start + 12) + [flags & 7]
            contents = Self.digest(numbers[...])
            whole = Self.digest(numbers[...], key)
        case 17 where hasPorts:
            say("UDP")
            contents = Self.digest(bytes.slice(start + 8..<end)[...])
            whole = Self.digest(bytes.slice(start + 8..<end)[...], key)
        default:
            say(transport == 1 || transport == 58 ? "ICMP" : "packets of protocol " + String(transport))
            // Of ICMPv6 the sum is over the addresses, too.
            let skipped = isWhole && (transport == 1 || transport == 58) && end >= start + 4 ? 4 : 0
            let kept =
                bytes.slice(start..<min(end, start + (skipped == 0 ? 0 : 2))) + bytes.slice(start + skipped..<end)
            contents = Self.digest(kept[...])
            whole = Self.digest(kept[...], key)
        }
    }

    /// FNV-1a.
    private static func digest(_ bytes: ArraySlice<UInt8>, _ start: UInt64 = 0xcbf2_9ce4_8422_2325) -> UInt64 {
        var value = start
        for byte in bytes { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return value
    }
}

/// Bytes in network order; what is not there is zero.
private struct ByteReader {
    private let bytes: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    func byte(_ place: Int) -> UInt8 {
        place >= 0 && place < bytes.count ? bytes[bytes.startIndex + place] : 0
    }
    func half(_ place: Int) -> UInt16 { UInt16(byte(place)) << 8 | UInt16(byte(place + 1)) }
    func word(_ place: Int) -> UInt32 { UInt32(half(place)) << 16 | UInt32(half(place + 2)) }
    func rest(_ place: Int) -> ArraySlice<UInt8> { bytes.dropFirst(place) }
    func slice(_ range: Range<Int>) -> [UInt8] {
        let upper = min(range.upperBound, bytes.count)
        return range.lowerBound < upper
            ? Array(bytes[bytes.startIndex + range.lowerBound..<bytes.startIndex + upper]) : []
    }
}
