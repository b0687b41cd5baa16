/// Frames from the service to the guest. Source: RFC 826, 791, 9293.
struct FrameWriter {
    /// Firecracker's: locally administered, a single station's.
    private static let station: UInt64 = 0x06_01_23_45_67_01

    /// The service's.
    let address: UInt32
    private var identification: UInt16 = 0

    init(address: UInt32) { self.address = address }

    /// Says which station has the service's address.
    func answer(to peer: Peer, into frame: inout [UInt8]) {
        ethernet(peer, 0x0806, &frame)
        for half in [1, 0x0800, 0x0604, 2] as [UInt16] { Bytes.put(half, &frame) }
        Bytes.putStation(Self.station, &frame)
        Bytes.put(address, &frame)
        Bytes.putStation(peer.station, &frame)
        Bytes.put(peer.address, &frame)
    }

    /// The parts of a segment that differ from one to the next.
    struct Segment {
        var port: UInt16
        var sequence: UInt32
        var acknowledgement: UInt32 = 0
        var flags: UInt8
        var window: UInt16 = 0
        /// Said with the first segment only.
        var maximumBytes: UInt16?
    }

    mutating func segment(
        _ segment: Segment, to peer: Peer, data: ArraySlice<UInt8> = [], into frame: inout [UInt8]
    ) {
        ethernet(peer, 0x0800, &frame)
        let headBytes = segment.maximumBytes == nil ? 20 : 24
        let start = frame.count
        identification &+= 1
        // Not to be taken apart, 64 stations far, TCP.
        for half in [0x4500, UInt16(20 + headBytes + data.count), identification, 0x4000, 0x4006, 0] as [UInt16] {
            Bytes.put(half, &frame)
        }
        Bytes.put(address, &frame)
        Bytes.put(peer.address, &frame)
        Self.place(Bytes.checksum(frame, start..<start + 20), at: start + 10, &frame)
        let transport = frame.count
        Bytes.put(segment.port, &frame)
        Bytes.put(peer.port, &frame)
        Bytes.put(segment.sequence, &frame)
        Bytes.put(segment.acknowledgement, &frame)
        frame.append(UInt8(headBytes / 4) << 4)
        frame.append(segment.flags)
        Bytes.put(segment.window, &frame)
        Bytes.put(UInt32(0), &frame)
        if let maximum = segment.maximumBytes { Bytes.put(0x0204_0000 | UInt32(maximum), &frame) }
        frame += data
        let pseudo = Bytes.sum(frame, start + 12..<start + 20) + 6 + UInt32(frame.count - transport)
        Self.place(Bytes.checksum(frame, transport..<frame.count, adding: pseudo), at: transport + 16, &frame)
    }

    private func ethernet(_ peer: Peer, _ type: UInt16, _ frame: inout [UInt8]) {
        Bytes.putStation(peer.station, &frame)
        Bytes.putStation(Self.station, &frame)
        Bytes.put(type, &frame)
    }

    private static func place(_ value: UInt16, at place: Int, _ frame: inout [UInt8]) {
        frame[place] = UInt8(truncatingIfNeeded: value >> 8)
        frame[place + 1] = UInt8(truncatingIfNeeded: value)
    }
}
