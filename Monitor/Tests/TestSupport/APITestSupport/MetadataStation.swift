public import MetadataService
import WireFormats

/// A guest's station as the metadata service sees it: it makes frames, and takes the service's apart.
public struct MetadataStation {
    public static let service: [UInt8] = [169, 254, 169, 254]
    public static let own: [UInt8] = [169, 254, 1, 7]
    static let station: [UInt8] = [2, 0, 0, 0, 0, 9]

    /// A frame of the service, as far as TCP goes.
    public struct Segment: Equatable {
        public var port: UInt16
        public var sequence: UInt32
        public var acknowledgement: UInt32
        public var flags: UInt8
        public var window: UInt16
        public var data: [UInt8]
    }

    public let endpoint: MetadataEndpoint
    public var now: UInt64 = 1_000_000_000

    public init(
        _ store: MetadataStore, isTokenRequired: Bool = false, isPlain: Bool = false, mtu: UInt16? = nil
    ) {
        store.configure(
            address: 0xa9fe_a9fe, interfaces: ["eth0"], isTokenRequired: isTokenRequired, isPlain: isPlain)
        guard let endpoint = store.endpoint(ofInterface: "eth0", mtu: mtu) else { preconditionFailure("it is named") }
        self.endpoint = endpoint
    }

    /// Gives a frame to the service, if it is for it.
    @discardableResult
    public func give(_ frame: [UInt8], hasChecksum: Bool = true) -> Bool {
        let bytes = Array(frame.prefix(MetadataEndpoint.maximumFrameBytes))
        let room = bytes + [UInt8](repeating: 0xee, count: MetadataEndpoint.maximumFrameBytes - bytes.count)
        guard endpoint.isAddressed(room, count: min(bytes.count, MetadataEndpoint.prefixBytes)) else { return false }
        endpoint.receive(room, count: bytes.count, hasChecksum: hasChecksum, now: now)
        return true
    }

    /// The service's next frame.
    public func take() -> [UInt8]? {
        var frame: [UInt8] = []
        return endpoint.writeFrame(&frame, now: now) ? frame : nil
    }

    public func takeSegment() -> Segment? { take().flatMap { Self.segment($0) } }

    // MARK: Frames

    public static func question(for address: [UInt8] = service) -> [UInt8] {
        [UInt8](repeating: 0xff, count: 6) + station + [8, 6, 0, 1, 8, 0, 6, 4, 0, 1] + station + own
            + [UInt8](repeating: 0, count: 6) + address
    }

    public static func frame(
        from port: UInt16, to target: UInt16 = 80, sequence: UInt32, acknowledgement: UInt32 = 0, flags: UInt8,
        window: UInt16 = 64_000, options: [UInt8] = [], data: [UInt8] = [], address: [UInt8] = service
    ) -> [UInt8] {
        var transport = half(port) + half(target) + word(sequence) + word(acknowledgement)
        transport += [UInt8((20 + options.count) / 4) << 4, flags] + half(window) + [0, 0, 0, 0] + options + data
        let pseudo = own + address + [0, 6] + half(UInt16(transport.count))
        let sum = checksum(pseudo + transport)
        transport[16] = UInt8(sum >> 8)
        transport[17] = UInt8(sum & 255)
        var head: [UInt8] =
            [0x45, 0] + half(UInt16(20 + transport.count)) + [0, 1, 0x40, 0, 64, 6, 0, 0] + own + address
        let headSum = checksum(head)
        head[10] = UInt8(headSum >> 8)
        head[11] = UInt8(headSum & 255)
        return [6, 1, 0x23, 0x45, 0x67, 1] + station + [8, 0] + head + transport
    }

    /// What a frame of the service holds; nil when it is no whole segment to this station.
    public static func segment(_ frame: [UInt8]) -> Segment? {
        guard frame.count >= 54, frame[12...13].elementsEqual([8, 0]), frame[0..<6].elementsEqual(station),
            frame[26..<30].elementsEqual(service), frame[30..<34].elementsEqual(own),
            checksum(Array(frame[14..<34])) == 0, Int(frame[16]) << 8 | Int(frame[17]) == frame.count - 14
        else { return nil }
        let transport = Array(frame[34...])
        guard checksum(service + own + [0, 6] + half(UInt16(transport.count)) + transport) == 0 else { return nil }
        func number(_ place: Int, _ count: Int) -> UInt32 {
            transport[place..<place + count].reduce(0) { $0 << 8 | UInt32($1) }
        }
        return Segment(
            port: UInt16(number(2, 2)), sequence: number(4, 4), acknowledgement: number(8, 4), flags: transport[13],
            window: UInt16(number(14, 2)), data: Array(transport[(Int(transport[12] >> 4) * 4)...]))
    }

    private static func half(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }
    private static func word(_ value: UInt32) -> [UInt8] {
        half(UInt16(value >> 16)) + half(UInt16(truncatingIfNeeded: value))
    }

    static func checksum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for (index, byte) in bytes.enumerated() { sum += index % 2 == 0 ? UInt32(byte) << 8 : UInt32(byte) }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        return ~UInt16(sum)
    }
}

/// One connection of such a station, which acknowledges what it is sent.
public struct MetadataClient {
    public let port: UInt16
    public var sequence: UInt32
    public var expected: UInt32 = 0
    public var received: [UInt8] = []
    public var window: UInt16 = 64_000
    public private(set) var isEndedByService = false
    public private(set) var isReset = false

    public init(port: UInt16, sequence: UInt32 = 0xffff_ff00) {
        self.port = port
        self.sequence = sequence
    }

    /// Opens the connection.
    public mutating func connect(_ station: MetadataStation, maximumBytes: UInt16 = 1460) -> Bool {
        station.give(
            MetadataStation.frame(
                from: port, sequence: sequence, flags: 0x02, window: window,
                options: [2, 4, UInt8(maximumBytes >> 8), UInt8(maximumBytes & 255)]))
        sequence &+= 1
        guard let answer = station.takeSegment(), answer.flags == 0x12, answer.acknowledgement == sequence else {
            return false
        }
        expected = answer.sequence &+ 1
        say(station)
        return true
    }

    /// Sends data, or only what has been received.
    public mutating func say(_ station: MetadataStation, _ data: [UInt8] = [], flags: UInt8 = 0) {
        station.give(
            MetadataStation.frame(
                from: port, sequence: sequence, acknowledgement: expected, flags: 0x10 | flags, window: window,
                data: data))
        sequence &+= UInt32(data.count) &+ (flags & 1 == 0 ? 0 : 1)
    }

    /// Takes what the service sends, and acknowledges it, until nothing more comes.
    public mutating func listen(_ station: MetadataStation, acknowledges: Bool = true) {
        while let segment = station.takeSegment() {
            precondition(segment.port == port, "only this connection is open")
            if segment.flags & 4 != 0 {
                isReset = true
                return
            }
            guard segment.sequence == expected else { continue }
            received += segment.data
            expected &+= UInt32(segment.data.count)
            if segment.flags & 1 != 0 {
                isEndedByService = true
                expected &+= 1
            }
            if acknowledges, !segment.data.isEmpty || segment.flags & 1 != 0 { say(station) }
        }
    }

    /// Asks, and takes the whole answer.
    public mutating func ask(_ station: MetadataStation, _ request: String) -> String {
        received = []
        say(station, Array(request.utf8))
        listen(station)
        return String(decoding: received, as: UTF8.self)
    }
}
