/// The last packets of a capture, in pieces of memory: when all are full, the oldest is let go of whole.
///
/// Packets lie in it as a capture file has them. Each byte has a position that never comes again, so that readers of different
/// speeds can go on where they were. Source: draft-ietf-opsawg-pcap, a packet's record.
public struct PacketRing: Sendable {
    public static let recordHeaderBytes = 16

    private var pieces: [[UInt8]] = []
    private let pieceBytes: Int
    private let pieceCount: Int
    /// Of the first byte that is still there.
    public private(set) var start: UInt64 = 0
    /// Behind the last one.
    public private(set) var end: UInt64 = 0
    public private(set) var packetCount: UInt64 = 0
    /// How many pieces were let go of.
    public private(set) var droppedPieces: UInt64 = 0

    public init(bytes: Int, pieces count: Int) {
        pieceCount = max(count, 2)
        pieceBytes = max(bytes / max(count, 2), Self.recordHeaderBytes)
    }

    public var keptBytes: Int { Int(truncatingIfNeeded: end &- start) }

    /// Takes a whole record: header and bytes. One that is larger than a piece is not kept.
    public mutating func append(_ record: ArraySlice<UInt8>) {
        guard record.count <= pieceBytes else { return }
        if pieces.isEmpty || pieces[pieces.count - 1].count + record.count > pieceBytes { beginPiece() }
        pieces[pieces.count - 1].append(contentsOf: record)
        end &+= UInt64(record.count)
        packetCount &+= 1
    }

    private mutating func beginPiece() {
        var piece: [UInt8] = []
        if pieces.count >= pieceCount {
            // Its memory is used again.
            piece = pieces.removeFirst()
            start &+= UInt64(piece.count)
            droppedPieces &+= 1
            piece.removeAll(keepingCapacity: true)
        } else {
            piece.reserveCapacity(pieceBytes)
        }
        pieces.append(piece)
    }

    /// Whole records from a position on, at least one if there are any, and otherwise not many more bytes than wanted.
    /// - Parameter position: where a record begins; one that is no longer there stands for the oldest that is.
    /// - Returns: the records, and the position behind them.
    public func records(from position: UInt64, wantedBytes: Int) -> (bytes: ArraySlice<UInt8>, next: UInt64) {
        var pieceStart = start
        let position = max(position, start)
        for piece in pieces {
            let pieceEnd = pieceStart &+ UInt64(piece.count)
            guard position < pieceEnd else {
                pieceStart = pieceEnd
                continue
            }
            let first = Int(truncatingIfNeeded: position &- pieceStart)
            var last = first
            while last < piece.count, last == first || last - first < wantedBytes {
                guard let length = Self.recordBytes(piece[last...]), last + length <= piece.count else { break }
                last += length
            }
            return (piece[first..<last], position &+ UInt64(last - first))
        }
        return ([], end)
    }

    /// How long the record is that begins there, its header included; nil when the header is not whole.
    public static func recordBytes(_ bytes: ArraySlice<UInt8>) -> Int? {
        guard bytes.count >= recordHeaderBytes else { return nil }
        let field = bytes.startIndex + 8
        let length = (0..<4).reduce(0) { $0 | Int(bytes[field + $1]) << (8 * $1) }
        return recordHeaderBytes + length
    }
}
