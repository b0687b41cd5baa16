import Archives
import ImageFixtures
import Testing

@Suite struct DecompressionTests {
    let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    private func decompressed(_ name: String, pieceBytes: Int = .max) throws -> [UInt8] {
        let bytes = try readFile(scratch.appending(name))
        let source: any ByteSource =
            name.hasSuffix("gz")
            ? try GzipByteSource(MemoryByteSource(bytes, pieceBytes: pieceBytes))
            : try ZstdByteSource(MemoryByteSource(bytes, pieceBytes: pieceBytes))
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 5000)
        while true {
            let count = try source.read(into: &buffer)
            if count == 0 { return all }
            all += buffer[..<count]
        }
    }

    private func plain() throws -> [UInt8] {
        var generator = SeededGenerator(seed: 5)
        let bytes = generator.bytes(30_000) + [UInt8](repeating: 65, count: 100_000)
        try scratch.write("plain", bytes)
        return bytes
    }

    @Test("what the standard tools compress comes back, in whatever pieces it arrives", arguments: ["gz", "zst"])
    func roundTrip(kind: String) throws {
        let bytes = try plain()
        try shell("gzip -k plain; zstd -q plain", in: scratch.path)
        for pieceBytes in [1, 7, 4096, Int.max] {
            #expect(try decompressed("plain.\(kind)", pieceBytes: pieceBytes) == bytes)
        }
    }

    @Test("several members or frames one after the other are one stream", arguments: ["gz", "zst"])
    func concatenated(kind: String) throws {
        let bytes = try plain()
        try shell("gzip -k plain; zstd -q plain; cat plain.\(kind) plain.\(kind) > two.\(kind)", in: scratch.path)
        #expect(try decompressed("two.\(kind)") == bytes + bytes)
        if kind == "gz" {
            try shell("(cat plain.gz; head -c 1000 /dev/zero) > padded.gz", in: scratch.path)
            #expect(try decompressed("padded.gz") == bytes)
        }
    }

    @Test("a stream that is cut off or changed is refused", arguments: ["gz", "zst"])
    func damaged(kind: String) throws {
        let bytes = try plain()
        try shell("gzip -k plain; zstd -q --check plain", in: scratch.path)
        let whole = try readFile(scratch.appending("plain.\(kind)"))
        for length in stride(from: 1, to: whole.count, by: 997) {
            try scratch.write("cut.\(kind)", Array(whole[..<length]))
            #expect(throws: ArchiveError.self) { try decompressed("cut.\(kind)") }
        }
        // A gzip header's time and name are not covered by its checksum.
        for offset in stride(from: 30, to: whole.count, by: 499) {
            var changed = whole
            changed[offset] ^= 0x10
            try scratch.write("changed.\(kind)", changed)
            if let result = try? decompressed("changed.\(kind)") { #expect(result == bytes, "offset \(offset)") }
        }
    }

    @Test("a source with another digest or length than announced is refused at its end")
    func digests() throws {
        let bytes = Array("hello".utf8)
        func read(_ expected: [UInt8], _ length: UInt64?) throws -> Int {
            let reader = ByteReader(
                DigestingByteSource(
                    MemoryByteSource(bytes), expected: SHA256.digest(of: expected), expectedBytes: length))
            try reader.drain()
            return Int(reader.position)
        }
        #expect(try read(bytes, 5) == 5)
        #expect(try read(bytes, nil) == 5)
        #expect(throws: ArchiveError.self) { try read(bytes, 4) }
        #expect(throws: ArchiveError.self) { try read(bytes, 6) }
        #expect(throws: ArchiveError.self) { try read(bytes + [1], 5) }
    }

    @Test("a bomb stops at the limit")
    func bomb() throws {
        try shell("head -c 50M /dev/zero | gzip > bomb.gz", in: scratch.path)
        let reader = ByteReader(
            try GzipByteSource(MemoryByteSource(try readFile(scratch.appending("bomb.gz")))), limit: 1 << 20)
        #expect(throws: ArchiveError.self) { try reader.drain() }
        #expect(reader.position <= 1 << 20)
    }
}
