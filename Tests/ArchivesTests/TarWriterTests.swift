import HostFiles
import ImageFixtures
import Testing

@testable import Archives

@Suite struct TarWriterTests {
    let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    private func file(_ name: String) throws -> HostFile {
        try HostFile(HostPath(scratch.appending(name)), [.readWrite, .create])
    }

    @Test("what is written is read, by us and by GNU tar")
    func reading() throws {
        var writer = TarWriter(FileByteSink(try file("t.tar")))
        try writer.addFolder("blobs")
        try writer.add("blobs/one", Array("one".utf8))
        try writer.add("empty", [])
        let large = (0..<600_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try writer.add("large", sizeBytes: UInt64(large.count), MemoryByteSource(large, pieceBytes: 1000))
        try writer.add("last", Array("last".utf8))
        try writer.finish()
        let entries = try readAll(try readFile(scratch.appending("t.tar")))
        #expect(
            entries.map { String(decoding: $0.entry.path, as: UTF8.self) } == [
                "blobs/", "blobs/one", "empty", "large", "last",
            ])
        #expect(entries[1].content == Array("one".utf8) && entries[3].content == large)
        #expect(!entries.contains { $0.entry.userID != 0 || $0.entry.modifiedSeconds != 0 })
        #expect(
            try shell("tar tf t.tar | tr '\\n' ' '; tar xOf t.tar last", in: scratch.path)
                == "blobs/ blobs/one empty large last last")
    }

    @Test(
        "a file of 8 GiB and more has a length that GNU tar understands",
        arguments: [1 << 33, (1 << 40) + 5] as [UInt64])
    func longFiles(sizeBytes: UInt64) throws {
        var long = TarEntry()
        long.path = Array("long".utf8)
        long.sizeBytes = sizeBytes
        long.extents = [TarEntry.Extent(offset: 0, length: sizeBytes)]
        let header = long.headers
        try scratch.write("h.tar", header)
        #expect(try shell("tar tvf h.tar 2> /dev/null || true", in: scratch.path).contains(" \(sizeBytes) "))
        let tar = TarReader(ByteReader(MemoryByteSource(header)))
        #expect(try tar.next()?.sizeBytes == sizeBytes)
    }

    @Test("content of another length than announced is an error", arguments: [2, 4] as [UInt64])
    func wrongLength(announced: UInt64) throws {
        var writer = TarWriter(FileByteSink(try file("w.tar")))
        #expect(throws: ArchiveError.truncated(at: min(announced, 3))) {
            try writer.add("three", sizeBytes: announced, MemoryByteSource([1, 2, 3]))
        }
    }
}
