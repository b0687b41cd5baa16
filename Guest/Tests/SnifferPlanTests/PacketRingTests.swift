import AgentProtocol
import ApplianceGuest
import SnifferPlan
import Testing

private func record(_ number: UInt8, _ length: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: number, count: 16 + length)
    for index in 0..<4 {
        bytes[8 + index] = UInt8(truncatingIfNeeded: length >> (8 * index))
        bytes[12 + index] = bytes[8 + index]
    }
    return bytes
}

private let fileHeader: [UInt8] =
    [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0] + [UInt8](repeating: 0, count: 12) + [1, 0, 0, 0]

@Suite struct PacketRingTests {
    @Test func `the last packets are kept, and the oldest piece goes as a whole`() {
        var ring = PacketRing(bytes: 400, pieces: 4)
        for number in 0..<20 { ring.append(record(UInt8(number), 24)[...]) }
        // Two of 40 bytes fit into each piece of 100.
        #expect(ring.keptBytes == 320 && ring.packetCount == 20 && ring.droppedPieces == 6)
        #expect(ring.start == 480 && ring.end == 800)
        #expect(ring.records(from: 0, wantedBytes: 1).bytes.first == 12)
    }

    @Test func `a reader gets whole packets, in order, and goes on where it was`() {
        var ring = PacketRing(bytes: 400, pieces: 4)
        var (seen, position): ([UInt8], UInt64) = ([], 0)
        for number in 0..<50 {
            ring.append(record(UInt8(number), Int(number) % 30)[...])
            guard number % 3 == 0 else { continue }
            while position < ring.end {
                let (bytes, next) = ring.records(from: position, wantedBytes: 20)
                var rest = bytes
                while let length = PacketRing.recordBytes(rest) {
                    seen.append(rest[rest.startIndex])
                    rest = rest.dropFirst(length)
                }
                #expect(rest.isEmpty && next > position)
                position = next
            }
        }
        #expect(seen == Array(0...48))
    }

    @Test func `a reader that is too slow goes on with the oldest packet that is there`() {
        var ring = PacketRing(bytes: 400, pieces: 4)
        for number in 0..<20 { ring.append(record(UInt8(number), 24)[...]) }
        let (bytes, next) = ring.records(from: 40, wantedBytes: 10)
        #expect(bytes.first == 12 && next == ring.start + 40)
        #expect(ring.records(from: ring.end, wantedBytes: 10).bytes.isEmpty)
    }

    @Test func `a packet that fits into no piece is not kept`() {
        var ring = PacketRing(bytes: 200, pieces: 2)
        ring.append(record(1, 100)[...])
        #expect(ring.packetCount == 0 && ring.keptBytes == 0)
    }
}

@Suite struct CaptureReaderTests {
    @Test(arguments: [1, 2, 7, 16, 1000])
    func `a capture is read in pieces of any size`(size: Int) throws {
        let records = (0..<20).map { record(UInt8($0), $0 * 3) }
        let whole = fileHeader + records.flatMap { $0 }
        var (reader, found): (CaptureReader, [[UInt8]]) = (CaptureReader(), [])
        var rest = whole[...]
        while !rest.isEmpty {
            try reader.feed(rest.prefix(size)) { found.append(Array($0)) }
            rest = rest.dropFirst(size)
        }
        #expect(reader.header == fileHeader && found == records)
    }

    @Test func `what is no capture, or cannot be, is refused`() {
        var reader = CaptureReader()
        #expect(throws: CaptureReader.Malformed.self) {
            try reader.feed([UInt8](repeating: 7, count: 24)[...]) { _ in }
        }
        var other = CaptureReader()
        let endless = fileHeader + [UInt8](repeating: 0xff, count: 16)
        #expect(throws: CaptureReader.Malformed.self) { try other.feed(endless[...]) { _ in } }
    }
}

@Suite struct SnifferSettingsTests {
    private func settings(_ fields: [(ByteString, ByteString)]) throws -> SnifferSettings {
        try SnifferSettings(SettingsFields(fields.map { .init($0.0, $0.1) }))
    }

    @Test func `a filter is one argument, and never an option`() throws {
        let settings = try settings([("filter", "-w /etc/passwd; reboot")])
        #expect(Array(settings.captureArguments.suffix(2)) == ["--", "-w /etc/passwd; reboot"])
        #expect(Array(settings.checkArguments.suffix(2)) == ["--", "-w /etc/passwd; reboot"])
        #expect(try self.settings([]).captureArguments.last == "-")
    }

    @Test(arguments: [
        ("filter", "tcp\nport 80"), ("filter", String(repeating: "a", count: 1001)), ("snapshot-length", "63"),
        ("snapshot-length", "262145"), ("keep.mebibytes", "0"), ("keep.pieces", "1"), ("keep.pieces", "65"),
        ("stream.address", "10.0.0.1"),
    ])
    func `what is wrong is refused by its field`(_ field: String, _ value: String) {
        #expect {
            try settings([(ByteString(field), ByteString(value))])
        } throws: {
            ($0 as? SettingsFault)?.field == ByteString(field)
        }
    }

    @Test func `pieces have room for the largest packet`() throws {
        #expect(throws: SettingsFault.self) { try settings([("keep.mebibytes", "1"), ("keep.pieces", "8")]) }
        #expect(
            try settings([("keep.mebibytes", "1"), ("keep.pieces", "8"), ("snapshot-length", "128")]).pieceCount == 8)
    }
}
