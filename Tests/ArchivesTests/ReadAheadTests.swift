import Archives
import ImageFixtures
import Testing

@Suite struct ReadAheadTests {
    private func all(_ source: ReadAheadByteSource, pieces: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: pieces)
        while true {
            let count = try source.read(into: &buffer)
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
    }

    @Test("what is read ahead is what the source gives, in order", arguments: [1000, 1 << 18, 300_001])
    func content(pieces: Int) throws {
        var generator = SeededGenerator(seed: 3)
        let bytes = generator.bytes(5_000_001)
        let source = try ReadAheadByteSource(MemoryByteSource(bytes, pieceBytes: 70_000))
        #expect(try all(source, pieces: pieces) == bytes)
        #expect(try all(source, pieces: 10).isEmpty)
        #expect(try all(try ReadAheadByteSource(MemoryByteSource([])), pieces: 10).isEmpty)
    }

    @Test("an error of the source comes after what came before it")
    func errors() throws {
        let source = try ReadAheadByteSource(FailingSource(pieces: 9))
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        for _ in 0..<9 { #expect(try source.read(into: &buffer) == 100) }
        #expect(throws: ArchiveError.truncated(at: 9)) { try source.read(into: &buffer) }
    }

    @Test("a source that nobody reads to its end is let go")
    func abandoned() async throws {
        weak var source: FailingSource?
        do {
            let failing = FailingSource(pieces: .max)
            source = failing
            var buffer = [UInt8](repeating: 0, count: 10)
            #expect(try ReadAheadByteSource(failing).read(into: &buffer) == 10)
        }
        for _ in 0..<1000 where source != nil { try await Task.sleep(for: .milliseconds(10)) }
        #expect(source == nil)
    }
}

/// So many pieces of 100 bytes, then an error.
private final class FailingSource: ByteSource {
    private let pieces: Int
    private var given = 0

    init(pieces: Int) { self.pieces = pieces }

    func read(into buffer: inout [UInt8]) throws(ArchiveError) -> Int {
        guard given < pieces else { throw .truncated(at: UInt64(given)) }
        given += 1
        return 100
    }
}
