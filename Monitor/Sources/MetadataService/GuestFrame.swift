/// One side of a connection, and the station it is on.
struct Peer: Equatable {
    /// The Ethernet address, the first byte highest.
    var station: UInt64
    var address: UInt32
    var port: UInt16
}

/// What a frame of the guest is to the service. Source: RFC 894, 826, 791, 9293.
enum GuestFrame {
    /// Somebody asks which station has the service's address.
    case question(Peer)
    case segment(Segment)
    /// For the service, and nothing that it serves.
    case strange
    /// For the service, and broken.
    case malformed

    /// A segment of TCP.
    struct Segment {
        var peer: Peer
        /// The port that it is for.
        var port: UInt16
        var sequence: UInt32
        var acknowledgement: UInt32
        var flags: UInt8
        var window: UInt16
        /// How much of a segment the peer takes; nil where it does not say.
        var maximumBytes: UInt16?
        /// Where the data lie in the frame.
        var data: Range<Int>

        func has(_ flag: UInt8) -> Bool { flags & flag != 0 }
        /// How far the segment goes in the numbers of bytes.
        var length: UInt32 {
            UInt32(truncatingIfNeeded: data.count) &+ (has(Flag.synchronize) ? 1 : 0) &+ (has(Flag.finish) ? 1 : 0)
        }
    }

    enum Flag {
        static let finish: UInt8 = 0x01
        static let synchronize: UInt8 = 0x02
        static let reset: UInt8 = 0x04
        static let push: UInt8 = 0x08
        static let acknowledge: UInt8 = 0x10
    }

    static let ethernetBytes = 14
    private static let etherARP = 0x0806
    private static let etherIPv4 = 0x0800
    /// Ethernet, IPv4 in six bytes and four, and a request.
    private static let question: [UInt8] = [0, 1, 8, 0, 6, 4, 0, 1]

    /// Whether the frame that begins so is for the address. Trust: none in the bytes.
    static func isAddressed(_ prefix: [UInt8], count: Int, to address: UInt32) -> Bool {
        guard count >= 34, count <= prefix.count else { return false }
        switch Int(prefix[12]) << 8 | Int(prefix[13]) {
        case etherIPv4: return Bytes.word(prefix, 30) == address
        case etherARP:
            return count >= 42 && prefix[14..<22].elementsEqual(question) && Bytes.word(prefix, 38) == address
        default: return false
        }
    }

    /// What a frame is that `isAddressed`. Trust: none in the bytes.
    /// - Parameter hasChecksum: false when the guest left TCP's to the device.
    init(_ frame: [UInt8], count: Int, hasChecksum: Bool) {
        let station = UInt64(Bytes.half(frame, 6)) << 32 | UInt64(Bytes.word(frame, 8))
        if Int(frame[12]) << 8 | Int(frame[13]) == Self.etherARP {
            self = .question(Peer(station: station, address: Bytes.word(frame, 28), port: 0))
            return
        }
        let start = Self.ethernetBytes
        let headBytes = Int(frame[start] & 15) * 4
        let totalBytes = Int(Bytes.half(frame, start + 2))
        guard frame[start] >> 4 == 4, headBytes >= 20, totalBytes >= headBytes, start + totalBytes <= count,
            Bytes.checksum(frame, start..<start + headBytes) == 0
        else {
            self = .malformed
            return
        }
        // TCP, and no piece of something longer.
        guard frame[start + 9] == 6, Bytes.half(frame, start + 6) & 0x3fff == 0 else {
            self = .strange
            return
        }
        let transport = start + headBytes
        let end = start + totalBytes
        guard end - transport >= 20 else {
            self = .malformed
            return
        }
        let dataStart = transport + Int(frame[transport + 12] >> 4) * 4
        guard dataStart >= transport + 20, dataStart <= end else {
            self = .malformed
            return
        }
        if hasChecksum {
            let pseudo = Bytes.sum(frame, start + 12..<start + 20) + 6 + UInt32(end - transport)
            guard Bytes.checksum(frame, transport..<end, adding: pseudo) == 0 else {
                self = .malformed
                return
            }
        }
        self = .segment(
            Segment(
                peer: Peer(
                    station: station, address: Bytes.word(frame, start + 12), port: Bytes.half(frame, transport)),
                port: Bytes.half(frame, transport + 2), sequence: Bytes.word(frame, transport + 4),
                acknowledgement: Bytes.word(frame, transport + 8), flags: frame[transport + 13],
                window: Bytes.half(frame, transport + 14),
                maximumBytes: Self.maximumBytes(frame, transport + 20..<dataStart), data: dataStart..<end))
    }

    /// The option with the maximum segment size.
    private static func maximumBytes(_ frame: [UInt8], _ options: Range<Int>) -> UInt16? {
        var place = options.lowerBound
        while place + 1 < options.upperBound {
            let kind = frame[place]
            if kind == 0 { return nil }
            if kind == 1 {
                place += 1
                continue
            }
            let length = Int(frame[place + 1])
            guard length >= 2, place + length <= options.upperBound else { return nil }
            if kind == 2, length == 4 { return Bytes.half(frame, place + 2) }
            place += length
        }
        return nil
    }
}

/// Numbers in the network's order.
enum Bytes {
    static func half(_ bytes: [UInt8], _ place: Int) -> UInt16 { UInt16(bytes[place]) << 8 | UInt16(bytes[place + 1]) }

    static func word(_ bytes: [UInt8], _ place: Int) -> UInt32 {
        UInt32(half(bytes, place)) << 16 | UInt32(half(bytes, place + 2))
    }

    static func put(_ value: UInt16, _ bytes: inout [UInt8]) {
        bytes.append(UInt8(truncatingIfNeeded: value >> 8))
        bytes.append(UInt8(truncatingIfNeeded: value))
    }

    static func put(_ value: UInt32, _ bytes: inout [UInt8]) {
        put(UInt16(truncatingIfNeeded: value >> 16), &bytes)
        put(UInt16(truncatingIfNeeded: value), &bytes)
    }

    static func putStation(_ value: UInt64, _ bytes: inout [UInt8]) {
        put(UInt16(truncatingIfNeeded: value >> 32), &bytes)
        put(UInt32(truncatingIfNeeded: value), &bytes)
    }

    /// The sum of halves, for at most 65,535 bytes.
    static func sum(_ bytes: [UInt8], _ range: Range<Int>) -> UInt32 {
        var sum: UInt32 = 0
        var place = range.lowerBound
        while place + 1 < range.upperBound {
            sum &+= UInt32(half(bytes, place))
            place += 2
        }
        if place < range.upperBound { sum &+= UInt32(bytes[place]) << 8 }
        return sum
    }

    /// The internet's checksum; zero over what holds the right one. Source: RFC 1071.
    static func checksum(_ bytes: [UInt8], _ range: Range<Int>, adding more: UInt32 = 0) -> UInt16 {
        var sum = sum(bytes, range) &+ more
        while sum > 0xffff { sum = sum & 0xffff &+ sum >> 16 }
        return ~UInt16(sum)
    }
}
