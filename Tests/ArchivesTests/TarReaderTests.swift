import Archives
import ImageFixtures
import Testing

/// Everything that a tar says, content included.
func readAll(_ bytes: [UInt8], pieceBytes: Int = .max) throws(ArchiveError) -> [(entry: TarEntry, content: [UInt8])] {
    let tar = TarReader(ByteReader(try ArchiveFormat.decompressed(MemoryByteSource(bytes, pieceBytes: pieceBytes))))
    var entries: [(TarEntry, [UInt8])] = []
    var buffer = [UInt8](repeating: 0, count: 1000)
    while let entry = try tar.next() {
        var content = [UInt8](repeating: 0, count: Int(min(entry.sizeBytes, 1 << 24)))
        var stored: [UInt8] = []
        while true {
            let count = try tar.readContent(into: &buffer)
            if count == 0 { break }
            stored += buffer[..<count]
        }
        var taken = 0
        for extent in entry.extents where extent.offset + extent.length <= UInt64(content.count) {
            let length = Int(extent.length)
            content.replaceSubrange(
                Int(extent.offset)..<(Int(extent.offset) + length), with: stored[taken..<(taken + length)])
            taken += length
        }
        entries.append((entry, content))
    }
    return entries
}

@Suite struct TarReaderTests {
    let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private func error(_ bytes: [UInt8]) -> ArchiveError? {
        do throws(ArchiveError) {
            _ = try readAll(bytes)
            return nil
        } catch {
            return error
        }
    }

    @Test("each format that GNU tar writes is read", arguments: ["v7", "oldgnu", "gnu", "ustar", "pax"])
    func formats(format: String) throws {
        try shell(
            "mkdir r; cd r; mkdir d; echo hello > d/f; chmod 640 d/f; touch -d @12345 d/f; ln -s f d/l; ln d/f d/z",
            in: scratch.path)
        try shell(
            "tar --format=\(format) --sort=name --owner=7 --group=8 --numeric-owner -cf t.tar -C r d", in: scratch.path)
        let entries = try readAll(try readFile(scratch.appending("t.tar")))
        #expect(entries.map { text($0.entry.path) } == ["d/", "d/f", "d/l", "d/z"])
        #expect(entries[0].entry.kind == .folder)
        #expect(entries[1].entry.kind == .file)
        #expect(text(entries[1].content) == "hello\n")
        #expect(entries[1].entry.mode == 0o640)
        #expect(entries[1].entry.userID == 7)
        #expect(entries[1].entry.groupID == 8)
        #expect(entries[1].entry.modifiedSeconds == 12345)
        #expect(entries[2].entry.kind == .symbolicLink(target: Array("f".utf8)))
        #expect(entries[3].entry.kind == .hardLink(target: Array("d/f".utf8)))
    }

    @Test(
        "long names, long targets, names that are no UTF-8, times before 1970 and large owners are read",
        arguments: ["gnu", "pax"])
    func difficult(format: String) throws {
        let name = String(repeating: "n", count: 200)
        try shell(
            "mkdir -p r/\(name); echo x > r/\(name)/\(name); ln -s \(name)/\(name) r/zlink; touch r/$'\\xff\\xfe'",
            in: scratch.path)
        try shell(
            "tar --format=\(format) --sort=name --owner=3000000 --group=4000000000 --numeric-owner --mtime=@-5.25 -cf t.tar -C r .",
            in: scratch.path)
        let entries = try readAll(try readFile(scratch.appending("t.tar")), pieceBytes: 77)
        let paths = entries.map(\.entry.path)
        #expect(paths.contains(Array("./\(name)/\(name)".utf8)))
        #expect(paths.contains(Array("./".utf8) + [0xff, 0xfe]))
        #expect(entries.contains { $0.entry.kind == .symbolicLink(target: Array("\(name)/\(name)".utf8)) })
        for (entry, _) in entries {
            #expect(entry.userID == 3_000_000)
            #expect(entry.groupID == 4_000_000_000)
            #expect(entry.modifiedSeconds == -6)
            if format == "pax" { #expect(entry.modifiedNanoseconds == 750_000_000) }
        }
    }

    @Test(
        "each kind of sparse file is read with its holes",
        arguments: [
            "--format=gnu -S", "--format=pax -S --sparse-version=0.0", "--format=pax -S --sparse-version=0.1",
            "--format=pax -S --sparse-version=1.0",
        ])
    func sparse(options: String) throws {
        let script = """
            truncate -s 9M f; for at in 0 100 300 301 700 1000 1500 2000 2100 2200; do
                printf "at $at" | dd of=f bs=4096 seek=$at conv=notrunc status=none
            done
            truncate -s 5M hole
            tar \(options) -cf t.tar f hole
            """
        try shell(script, in: scratch.path)
        let entries = try readAll(try readFile(scratch.appending("t.tar")))
        #expect(entries.map { text($0.entry.path) } == ["f", "hole"])
        #expect(entries[0].content == (try readFile(scratch.appending("f"))))
        #expect(entries[0].entry.storedBytes < 1 << 20)
        #expect(entries[1].entry.sizeBytes == 5 << 20)
        #expect(entries[1].entry.storedBytes == 0)
    }

    @Test("extended attributes come with zero bytes and newlines in them")
    func attributes() throws {
        var tar = TarBytes()
        tar.addPax([("SCHILY.xattr.user.a", [0, 10, 61, 255]), ("SCHILY.xattr.user.a", [1]), ("SCHILY.xattr.b", [10])])
        tar.add("f")
        let entry = try readAll(tar.finished())[0].entry
        #expect(
            entry.extendedAttributes == [
                .init(name: Array("user.a".utf8), value: [1]), .init(name: [98], value: [10]),
            ])
    }

    @Test("a tar cut off anywhere is an error or a shorter list, never more")
    func truncation() throws {
        var tar = TarBytes()
        tar.addFolder("d")
        tar.addPax([("path", Array("d/long".utf8)), ("mtime", Array("1.5".utf8))])
        tar.add("x", [UInt8](repeating: 1, count: 700))
        tar.add("y", [2])
        let whole = tar.finished()
        for length in 0..<whole.count {
            let cut = Array(whole[..<length])
            guard let entries = try? readAll(cut) else { continue }
            // The first block of zeros is the end already.
            let isAfterEnd = length > whole.count - 512
            // Behind a member's content, nothing is missing but zeros.
            let isInPadding = (2748..<3072).contains(length) || (3585..<4096).contains(length)
            #expect((length % 512 == 0 || isAfterEnd || isInPadding) && entries.count <= 3, "cut at \(length)")
        }
        #expect(try readAll(whole).count == 3)
        #expect(try readAll(Array(whole[..<3585])).count == 3)
        #expect(throws: ArchiveError.self) { try readAll(Array(whole[..<3584])) }
    }

    @Test("fields that nothing can have are refused")
    func hostileFields() throws {
        func tar(_ change: (inout TarBytes.Member) -> Void) -> [UInt8] {
            var tar = TarBytes()
            tar.add("ok")
            tar.add("f", [1], change)
            return tar.finished()
        }
        #expect(
            error(tar { $0.size = [0xff] + [UInt8](repeating: 0xff, count: 11) })
                == .invalidField("size (it is negative)", at: 512))
        #expect(
            error(tar { $0.size = [0x80, 0x7f] + [UInt8](repeating: 0xff, count: 10) })
                == .invalidField("size (it is too large)", at: 512))
        #expect(error(tar { $0.size = Array("0000000000x".utf8) }) == .invalidField("size", at: 512))
        #expect(error(tar { $0.size = Array("77777777777".utf8) }).map { "\($0)".contains("too early") } == true)
        #expect(error(tar { $0.hasRightChecksum = false }) == .wrongChecksum(at: 512))
        #expect(error(tar { $0.userID = "9999999" }) == .invalidField("user id", at: 512))
        #expect(error(tar { $0.type = UInt8(ascii: "Q") }) == .unsupported("of the unknown type \"Q\"", at: 512))
        #expect(
            error(
                tar {
                    $0.type = UInt8(ascii: "L"); $0.size = Array("00077777777".utf8)
                }
            ).map { "\($0)".contains("extended header") } == true)
    }

    @Test(
        "pax records that lie about their length, or hold nonsense, are refused",
        arguments: [
            "", "5", "x path=a\n", "999 path=a\n", "3 a\n", "7 path=a", "18446744073709551616 a=b\n", "6 =aa\n",
            "0 a=b\n", "12 size=-12\n", "11 size=1x\n", "30 GNU.sparse.numbytes=55555\n",
        ])
    func hostileRecords(record: String) throws {
        var tar = TarBytes()
        tar.addPax(Array(record.utf8))
        tar.add("f", [1])
        let found = error(tar.finished())
        #expect(record.isEmpty ? found == nil : found != nil)
    }

    @Test(
        "sparse maps that go backwards, overlap, overflow or do not fit are refused",
        arguments: [
            "0,1,0,1", "5,1,0,1", "0,2", "0,18446744073709551615,1,1", "9223372036854775807,1", "1", "0,x", "0,1,99,1",
        ])
    func hostileMaps(map: String) throws {
        var tar = TarBytes()
        tar.addPax([("GNU.sparse.size", Array("50".utf8)), ("GNU.sparse.map", Array(map.utf8))])
        tar.add("f", [1])
        #expect(error(tar.finished()) != nil)
    }

    @Test("an archive with no member, and an extended header for none, are told apart")
    func empty() throws {
        #expect(try readAll([UInt8](repeating: 0, count: 1024)).isEmpty)
        var tar = TarBytes()
        tar.addPax([("path", [97])])
        #expect(error(tar.finished()) != nil)
        #expect(error(tar.bytes) == .truncated(at: 1024))
    }

    @Test("other formats are named, with what to do", arguments: [("xz", "unxz"), ("bzip2", "bunzip2")])
    func otherFormats(tool: String, advice: String) throws {
        guard hasTool(tool) else { return }
        try shell("echo hi | \(tool) > x", in: scratch.path)
        #expect(error(try readFile(scratch.appending("x"))).map { "\($0)".contains(advice) } == true)
    }
}
