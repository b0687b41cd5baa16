/// Takes a capture apart as it comes, in pieces of any size: the file's header, then record by record.
///
/// Trust: what comes is what a program made of packets that anybody sent; lengths are bounded before they are believed.
/// Source: draft-ietf-opsawg-pcap.
public struct CaptureReader: Sendable {
    /// Not a capture, or a length that cannot be.
    public struct Malformed: Error, Equatable, Sendable {}

    public static let headerBytes = 24
    private static let mostPacketBytes = 262_144

    /// The file's header once it has come.
    public private(set) var header: [UInt8] = []
    private var pending: [UInt8] = []

    public init() {}

    /// - Parameter take: gets each record, header and bytes.
    public mutating func feed(
        _ bytes: ArraySlice<UInt8>, take: (ArraySlice<UInt8>) -> Void
    ) throws(Malformed) {
        pending.append(contentsOf: bytes)
        var position = 0
        if header.isEmpty {
            guard pending.count >= Self.headerBytes else { return }
            // Microseconds or nanoseconds, this machine's order of bytes, Ethernet.
            let magic = Array(pending[0..<4])
            guard magic == [0xd4, 0xc3, 0xb2, 0xa1] || magic == [0x4d, 0x3c, 0xb2, 0xa1] else { throw Malformed() }
            header = Array(pending[..<Self.headerBytes])
            position = Self.headerBytes
        }
        while let length = PacketRing.recordBytes(pending[position...]) {
            guard length <= PacketRing.recordHeaderBytes + Self.mostPacketBytes else { throw Malformed() }
            guard position + length <= pending.count else { break }
            take(pending[position..<(position + length)])
            position += length
        }
        pending.removeFirst(position)
    }
}
