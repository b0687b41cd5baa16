import Archives
import ErofsFormat
import FileTrees
import Foundation
import HostFiles
import ImageFixtures
import Testing

@Suite struct ErofsImageTests {
    let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    @discardableResult
    private func write(_ tree: FileTree, _ name: String) throws -> ErofsSummary {
        try DiskBuilder(in: scratch.path).write(tree, to: name)
    }

    private func scanned(_ name: String) throws -> FileTree {
        try FileTree(scanning: HostPath(scratch.appending(name)))
    }

    private func accepts(_ name: String) throws -> Bool {
        let result = try run("fsck.erofs", [scratch.appending(name)])
        // The tool ends with 0 after some of the errors that it prints.
        return result.status == 0 && !result.output.contains("<E>")
    }

    /// A folder with everything that makes a disk difficult; devices and owners only as root.
    private func makeDifficultFolder() throws {
        let script = """
            mkdir -p root/many root/deep/a/b/c root/empty; cd root
            for i in $(seq 1 700); do echo $i > many/a-file-with-a-rather-long-name-$i; done
            for n in 0 1 4031 4032 4033 4063 4064 4065 4095 4096 4097 8191 8192 8193 300000; do
                head -c $n /dev/urandom > size-$n
            done
            truncate -s 100M hole; truncate -s 50M sparse
            printf hello | dd of=sparse bs=1 seek=30000000 conv=notrunc status=none
            head -c 90000 /dev/urandom | dd of=mixed bs=4096 seek=100 conv=notrunc status=none; truncate -s 3333333 mixed
            ln size-4095 hard; ln size-4095 deep/a/hard
            ln -s size-4096 link; ln -s "$(printf 'x%.0s' $(seq 1 4000))" long-link; mkfifo fifo
            printf y > "$(printf 'n%.0s' $(seq 1 255))"; mkdir $'not-utf8-\\xff\\xfe'; printf x > $'not-utf8-\\xff\\xfe/\\x01\\x80'
            chmod 4755 size-4096; chmod 1777 deep; chmod 2750 deep/a; chmod 0 empty
            touch -d '1969-12-31 23:59:58.5 UTC' size-1; touch -d '2100-01-01' size-8192
            if [ $(id -u) = 0 ]; then
                mknod chr c 5 1; mknod blk b 259 70000; chown 100000:200000 size-8193; chown -h 7:8 link
            fi
            """
        let compressible = """
            for n in 4033 5000 8192 12288 12289 40000 65537 1000000; do seq 1 200000 | head -c $n > text-$n; done
            (head -c 3000 /dev/urandom; seq 1 90000; head -c 700001 /dev/urandom; seq 1 300000; head -c 5 /dev/urandom) > both
            head -c 30000000 /dev/zero > zeros; cp both copy; (seq 1 300; head -c 2000000 /dev/urandom) > little
            """
        try shell("mkdir -p root; " + script + "\n" + compressible, in: scratch.path)
    }

    @Test(
        "fsck.erofs accepts a difficult folder's disk, and what it extracts is the folder",
        .enabled(if: hasTool("fsck.erofs")))
    func judgedByFsck() throws {
        try makeDifficultFolder()
        try write(try scanned("root"), "disk")
        #expect(try accepts("disk"))
        // Only root can make devices and give files away.
        guard getuid() == 0 else { return }
        let extraction = try run("fsck.erofs", ["--extract=" + scratch.appending("out"), scratch.appending("disk")])
        #expect(extraction.status == 0, "\(extraction.output.prefix(500))")
        // erofs-utils 1.5 leaves holes out of what it extracts; the kernel does not, as the next test shows.
        let sums =
            "find . -type f ! -name hole ! -name sparse ! -name mixed -print0 | LC_ALL=C sort -z | xargs -0 sha256sum"
        #expect(try shell(sums, in: scratch.appending("root")) == shell(sums, in: scratch.appending("out")))
    }

    @Test(
        "the kernel shows a difficult folder's disk exactly as the folder", .enabled(if: canMount, "only root mounts"))
    func judgedByTheKernel() throws {
        try makeDifficultFolder()
        try write(try scanned("root"), "disk")
        try shell("mkdir mnt; mount -t erofs -o loop,ro disk mnt", in: scratch.path)
        defer { _ = try? run("umount", [scratch.appending("mnt")]) }
        let script = """
            find . ! -type d -printf '%p %y %m %U %G %n %s %T@ %l\\n' | LC_ALL=C sort
            find . -type d -printf '%p %y %m %U %G %n %T@\\n' | LC_ALL=C sort
            find . -type c -o -type b | LC_ALL=C sort | xargs -r stat -c '%n %t %T'
            find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
            """
        let expected = try shell(script, in: scratch.appending("root"))
        let found = try shell(script, in: scratch.appending("mnt"))
        #expect(
            expected == found,
            "differs: \(zip(expected.split(separator: "\n"), found.split(separator: "\n")).first { $0 != $1 }.map { "\($0) / \($1)" } ?? "")"
        )
    }

    @Test("extended attributes, large and many, arrive in the kernel", .enabled(if: canMount, "only root mounts"))
    func attributes() throws {
        let big = [UInt8](repeating: 7, count: 5000)
        var tar = TarBytes()
        tar.addPax([
            ("SCHILY.xattr.user.one", [1, 0, 2]), ("SCHILY.xattr.trusted.t", [3]), ("SCHILY.xattr.user.big", big),
            ("SCHILY.xattr.security.capability", [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            ("SCHILY.xattr.btrfs.unknown", [1]),
        ])
        tar.add("file", Array("hello".utf8))
        let builder = TreeBuilder()
        try builder.add(
            ByteReader(MemoryByteSource(tar.finished())), content: .spool(try ContentSpool(in: HostPath(scratch.path))),
            hasWhiteouts: false)
        try write(builder.tree, "disk")
        #expect(try accepts("disk"))
        try shell("mkdir mnt; mount -t erofs -o loop,ro disk mnt", in: scratch.path)
        defer { _ = try? run("umount", [scratch.appending("mnt")]) }
        let found = try HostPath(scratch.appending("mnt/file")).extendedAttributes()
        #expect(
            found.map { String(decoding: $0.name, as: UTF8.self) } == [
                "security.capability", "trusted.t", "user.big", "user.one",
            ])
        #expect(found[2].value == big)
        #expect(found[3].value == [1, 0, 2])
        #expect(try readFile(scratch.appending("mnt/file")) == Array("hello".utf8))
    }

    @Test(
        "random trees give disks that fsck.erofs accepts, the same whatever they were read from",
        .enabled(if: hasTool("fsck.erofs")))
    func randomTrees() throws {
        for seed in 1...6 as ClosedRange<UInt64> {
            try RandomFolder(seed: seed).make(in: scratch, "r\(seed)")
            let fromFolder = try write(try scanned("r\(seed)"), "a")
            #expect(try accepts("a"), "seed \(seed)")
            try shell("tar --format=pax --sort=inode -C r\(seed) -cf t.tar .", in: scratch.path)
            let builder = TreeBuilder()
            let tar = try HostFile(HostPath(scratch.appending("t.tar")))
            let content = ContentSource(try tar.duplicate())
            let size = try tar.status().sizeBytes
            try builder.add(
                ByteReader(FileByteSource(tar, range: 0..<size)), content: .inPlace(content), hasWhiteouts: false)
            #expect(try write(builder.tree, "b") == fromFolder, "seed \(seed)")
            #expect(try readFile(scratch.appending("a")) == readFile(scratch.appending("b")), "seed \(seed)")
        }
    }

    @Test("a file that changes while the disk is written stops the writing")
    func changing() throws {
        try scratch.write("root/file", [1, 2, 3])
        let tree = try scanned("root")
        try scratch.write("root/file", [1, 2, 3, 4])
        let path = HostPath(scratch.appending("root").appending("/file"))
        #expect(throws: FileTreeError.changedWhileReading(path)) { try write(tree, "disk") }
    }

    @Test("a disk that would be longer than allowed is refused")
    func bound() throws {
        try scratch.write("root/file", [UInt8](repeating: 1, count: 3 << 20))
        let tree = try scanned("root")
        #expect(
            throws: FileTreeError.overBound("a file of 3145728 bytes is longer than 2097152, the most a disk may be")
        ) {
            try DiskBuilder(in: scratch.path, maximumBytes: 2 << 20).write(tree, to: "disk")
        }
    }

    @Test("a flipped bit in the superblock is seen by its checksum", .enabled(if: hasTool("fsck.erofs")))
    func superblockChecksum() throws {
        try scratch.write("root/file", [1])
        try write(try scanned("root"), "disk")
        var bytes = try readFile(scratch.appending("disk"))
        bytes[1024 + 50] ^= 1
        try scratch.write("disk", bytes)
        #expect(try !accepts("disk"))
    }
}

/// A folder whose shape follows from a seed: names, depths, sizes around the block, links.
struct RandomFolder {
    var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func fill(_ scratch: ScratchFolder, _ folder: String, depth: Int) throws {
        try FileManager.default.createDirectory(
            atPath: scratch.appending(folder), withIntermediateDirectories: true)
        for index in 0..<Int.random(in: 0...(depth == 0 ? 60 : 12), using: &generator) {
            let length = Int.random(in: 1...(generator.chance(5) ? 200 : 20), using: &generator)
            let name = folder + "/\(index)-" + String(repeating: "n", count: length)
            switch Int.random(in: 0..<10, using: &generator) {
            case 0 where depth < 4, 1 where depth < 4: try fill(scratch, name, depth: depth + 1)
            case 2:
                try FileManager.default.createSymbolicLink(
                    atPath: scratch.appending(name), withDestinationPath: String(repeating: "t", count: length))
            default:
                let around = [0, 40, 4096, 8192].randomElement(using: &generator) ?? 0
                try scratch.write(name, generator.bytes(max(0, around + Int.random(in: -80...80, using: &generator))))
                if generator.chance(10) {
                    try? FileManager.default.linkItem(
                        atPath: scratch.appending(name), toPath: scratch.appending(name + "-hard"))
                }
            }
        }
    }

    func make(in scratch: ScratchFolder, _ name: String) throws {
        var copy = self
        try copy.fill(scratch, name, depth: 0)
    }
}
