import Archives
import Foundation
import HostFiles
import ImageFixtures
import ImageStore
import Testing
import VerityTree

@Suite struct ImageStoreTests {
    let scratch: ScratchFolder
    let store: ImageStore

    init() throws {
        scratch = try ScratchFolder()
        store = ImageStore(root: scratch.appending("store"))
    }

    private func folder(_ text: String = "hello") throws -> String {
        try scratch.write("root/bin/program", Array(text.utf8))
        try scratch.write("root/etc/hosts", [])
        // Times are part of an image: the same folder must have the same ones each time.
        try shell("find root -exec touch -d @1000 {} +", in: scratch.path)
        return scratch.appending("root")
    }

    /// What so many images of small files are made of: each has manifest, configuration and layer, the layer's index and small
    /// contents, record, metadata and hash tree; they share the empty segment and the list of its blocks.
    private static func files(ofImages count: Int) -> Int { 8 * count + 2 }

    private func files() throws -> [String] {
        let names = try FileManager.default.subpathsOfDirectory(atPath: store.root)
        return names.filter { $0.contains("/") && $0 != "blobs/sha256" }.sorted()
    }

    private func code(_ body: () throws(ImageError) -> Void) -> ImageError.Code? {
        do {
            try body()
            return nil
        } catch {
            return error.code
        }
    }

    @Test("an imported image is found by its name, its digest and the beginning of that")
    func resolving() throws {
        let image = try store.importImage(from: try folder(), as: "small")
        #expect(image.names == ["small"])
        #expect(try store.resolve("small") == image)
        #expect(try store.resolve(image.digest) == image)
        #expect(try store.resolve(String(image.digest.dropFirst(7).prefix(6))) == image)
        #expect(try store.resolve("sha256:" + image.digest.dropFirst(7).prefix(6)) == image)
        #expect(try store.list() == [image])
        #expect(try rootHash(image) == image.diskDigest)
        #expect(UInt64(try disk(image).count) == image.sizeBytes)
    }

    /// The disk as a guest sees it.
    private func disk(_ image: StoredImage) throws -> [UInt8] { try image.diskPaths.flatMap { try readFile($0) } }

    /// The root hash that the disk's data has.
    private func rootHash(_ image: StoredImage) throws -> String {
        let hashes = try HostFile(HostPath(scratch.appending("hashes")), [.readWrite, .create, .truncate])
        let data = try disk(image)[..<Int(image.dataBlockCount * 4096)]
        var writer = HashTreeWriter(dataBlocks: image.dataBlockCount)
        try writer.append(HashTreeWriter.digests(of: Array(data).span), to: hashes)
        let root = try writer.finish(hashes)
        #expect(try readFile(scratch.appending("hashes")) == disk(image)[data.count...].map { $0 })
        return root.description
    }

    @Test("a folder, a tar, a gzip and a zstd of one give the same image to the byte")
    func sameImage() throws {
        let root = try folder()
        try shell("chmod -R u=rwX,go=rX root", in: scratch.path)
        try shell(
            "tar cf a.tar -C root . ; gzip -k a.tar; zstd -q a.tar; tar cf b.tar -C root etc bin .", in: scratch.path)
        let image = try store.importImage(from: root, as: "a")
        for (source, name) in [("a.tar", "b"), ("a.tar.gz", "c"), ("a.tar.zst", "d"), ("b.tar", "e")] {
            #expect(try store.importImage(from: scratch.appending(source), as: name).digest == image.digest)
        }
        #expect(try store.resolve("a").names == ["a", "b", "c", "d", "e"])
        #expect(try files().count == Self.files(ofImages: 1))
    }

    @Test("a name that gets a new image lets the old one go, unless it has another name")
    func replacing() throws {
        let first = try store.importImage(from: try folder("one"), as: "x")
        let second = try store.importImage(from: try folder("two"), as: "x")
        #expect(first.digest != second.digest)
        #expect(try store.list() == [second])
        #expect(try files().count == Self.files(ofImages: 1))
        _ = try store.importImage(from: try folder("two"), as: "y")
        _ = try store.importImage(from: try folder("three"), as: "x")
        #expect(try store.resolve("y").digest == second.digest)
        #expect(try store.list().count == 2)
    }

    @Test("removing a name keeps what has another; removing the last, or a digest, removes the disk")
    func removing() throws {
        let image = try store.importImage(from: try folder(), as: "a")
        try store.importImage(from: try folder(), as: "b")
        #expect(try store.remove("a").names == ["a", "b"])
        #expect(try store.list().map(\.names) == [["b"]])
        try store.importImage(from: try folder(), as: "c")
        try store.remove(image.digest)
        #expect(try store.list().isEmpty)
        #expect(try files().isEmpty)
        #expect(code { () throws(ImageError) in try store.remove("b") } == .unknownImage)
    }

    @Test("what the person who imports says stands above what the image says")
    func overriding() throws {
        var settings = ImportSettings()
        settings.overrides.command = ["/bin/sh", "-c", "true"]
        settings.overrides.environment = ["A=1", "B=2", "A=3"]
        settings.overrides.user = "nobody"
        settings.overrides.workingDirectory = "/tmp"
        settings.overrides.labels = ["k": "v"]
        let configuration = try store.importImage(from: try folder(), as: "a", settings: settings).configuration
        #expect(configuration.arguments(overridingCommand: []) == ["/bin/sh", "-c", "true"])
        #expect(configuration.arguments(overridingCommand: [], entrypoint: "/bin/ls") == ["/bin/ls"])
        #expect(configuration.arguments(overridingCommand: ["/"], entrypoint: "/bin/ls") == ["/bin/ls", "/"])
        #expect(configuration.arguments(overridingCommand: ["ls"], entrypoint: "") == ["ls"])
        #expect(configuration.environment == ["B=2", "A=3"])
        #expect(configuration.user == "nobody")
        #expect(configuration.workingDirectory == "/tmp")
        #expect(configuration.labels == ["k": "v"])
        settings.overrides.environment = ["=x"]
        let folder = try folder()
        #expect(
            code { () throws(ImageError) in try store.importImage(from: folder, as: "b", settings: settings) }
                == .invalidName)
    }

    @Test(
        "a name that cannot be one is refused",
        arguments: ["", "-a", "/a", ".a", "a b", "ä", "sha256:abcd", String(repeating: "a", count: 256), "a\n"])
    func invalidNames(name: String) throws {
        let folder = try folder()
        #expect(code { () throws(ImageError) in try store.importImage(from: folder, as: name) } == .invalidName)
        #expect(code { () throws(ImageError) in _ = try store.resolve(name) } == .unknownImage)
    }

    @Test("a source that is missing, cut off or of another kind is refused, and nothing stays")
    func badSources() throws {
        _ = try folder()
        try shell(
            "tar czf a.tar.gz root; head -c 60 a.tar.gz > cut.gz; echo hi > text; : > empty; mkdir nothing; tar cf nothing.tar -T /dev/null; xz -k a.tar.gz",
            in: scratch.path)
        let before = try store.importImage(from: try folder(), as: "kept")
        for (source, expected) in [
            ("missing", ImageError.Code.unreadableSource), ("cut.gz", .invalidSource), ("text", .invalidSource),
            ("empty", .invalidSource), ("nothing", .invalidSource), ("nothing.tar", .invalidSource),
            ("a.tar.gz.xz", .invalidSource),
        ] {
            let path = scratch.appending(source)
            #expect(code { () throws(ImageError) in try store.importImage(from: path, as: "kept") } == expected)
        }
        #expect(try store.list() == [before])
        #expect(try files().count == Self.files(ofImages: 1))
    }

    @Test("bounds on entries and bytes stop an import")
    func bounds() throws {
        var settings = ImportSettings()
        settings.maximumEntries = 3
        let folder = try folder()
        #expect(
            code { () throws(ImageError) in try store.importImage(from: folder, as: "a", settings: settings) }
                == .invalidSource)
        settings = ImportSettings()
        settings.maximumContentBytes = 1 << 20
        try shell("head -c 100M /dev/zero > zeros; tar czf bomb.tgz zeros", in: scratch.path)
        let bomb = scratch.appending("bomb.tgz")
        #expect(
            code { () throws(ImageError) in try store.importImage(from: bomb, as: "a", settings: settings) }
                == .invalidSource)
        #expect(try files().isEmpty)
    }

    @Test("importing the same again puts a damaged disk right")
    func damagedDisk() throws {
        let image = try store.importImage(from: try folder(), as: "a")
        let whole = try disk(image)
        for path in image.diskPaths {
            var damaged = try readFile(path)
            damaged[damaged.count / 2] ^= 0xff
            try FileManager.default.removeItem(atPath: path)
            try Data(damaged).write(to: URL(fileURLWithPath: path))
        }
        #expect(try store.importImage(from: try folder(), as: "a").diskPaths == image.diskPaths)
        #expect(try disk(image) == whole)
    }

    @Test("a store below what is no folder is an error, and not an empty one")
    func noStore() throws {
        let file = try scratch.write("file", [1])
        let broken = ImageStore(root: file + "/images")
        #expect(code { () throws(ImageError) in _ = try broken.list() } == .damagedStore)
        #expect(try ImageStore(root: scratch.appending("nothing")).list().isEmpty)
    }

    @Test("an unfinished import that died is cleaned up by the next, one that lives is left alone")
    func leftovers() throws {
        try store.importImage(from: try folder(), as: "a")
        try scratch.write("store/temporary/work-1-1.blocks", [1])
        try scratch.write("store/disks/" + String(repeating: "0", count: 64) + ".metadata", [1])
        try scratch.write("store/segments/" + String(repeating: "0", count: 64) + ".blocks", [1])
        try scratch.write("store/layers/" + String(repeating: "0", count: 64) + ".index", [1])
        try scratch.write("store/records/" + String(repeating: "0", count: 64) + ".json", [1])
        let living = try scratch.write("store/temporary/work-2-2.blocks", [1])
        let holder = Process()
        holder.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        holder.arguments = ["flock", living, "sh", "-c", "echo; exec sleep 30"]
        let pipe = Pipe()
        holder.standardOutput = pipe
        try holder.run()
        _ = pipe.fileHandleForReading.readData(ofLength: 1)
        // Also by one that fails: the leftover may be what fills the disk.
        #expect(throws: ImageError.self) { try store.importImage(from: scratch.appending("nothing"), as: "b") }
        #expect(try files().filter { $0.hasPrefix("temporary/") } == ["temporary/work-2-2.blocks"])
        try store.importImage(from: try folder("new"), as: "b")
        #expect(try files().filter { $0.hasPrefix("temporary/") } == ["temporary/work-2-2.blocks"])
        #expect(try files().count == Self.files(ofImages: 2) + 1)
        holder.terminate()
    }

    @Test("many imports and removals at once leave every name right")
    func concurrent() async throws {
        let folders = try (0..<4).map { index in
            try scratch.write("f\(index)/file", [UInt8(index)])
            return scratch.appending("f\(index)")
        }
        await withTaskGroup(of: Void.self) { group in
            for round in 0..<24 {
                group.addTask { [store] in
                    _ = try? store.importImage(from: folders[round % 4], as: "n\(round % 6)")
                    if round % 5 == 0 { _ = try? store.remove("n\(round % 6)") }
                }
            }
        }
        for image in try store.list() {
            #expect(try rootHash(image) == image.diskDigest)
        }
        for name in 0..<6 { try store.importImage(from: folders[name % 4], as: "n\(name)") }
        #expect(Set(try store.list().flatMap(\.names)).count == 6)
        #expect(try files().count == Self.files(ofImages: 4))
    }

    @Test("a damaged record or a cut disk is told, not believed")
    func damage() throws {
        let image = try store.importImage(from: try folder(), as: "a")
        try shell("truncate -s -1 \(image.diskPaths[0])", in: scratch.path)
        #expect(code { () throws(ImageError) in _ = try store.resolve("a") } == .damagedStore)
        try store.importImage(from: try folder(), as: "a")
        #expect(try store.resolve("a").digest == image.digest)
        let record = "store/records/\(image.digest.dropFirst(7)).json"
        let text = String(decoding: try readFile(scratch.appending(record)), as: UTF8.self)
        try scratch.write(record, Array(text.replacingOccurrences(of: "\"user\":\"\"", with: "\"user\":\"x\"").utf8))
        #expect(code { () throws(ImageError) in _ = try store.resolve("a") } == .damagedStore)
        // Numbers that no disk has are no trap.
        let absurd = text.replacingOccurrences(
            of: "\"blockCount\":[0-9]+", with: "\"blockCount\":18446744073709551615", options: .regularExpression)
        #expect(absurd != text)
        try scratch.write(record, Array(absurd.utf8))
        #expect(code { () throws(ImageError) in _ = try store.resolve("a") } == .damagedStore)
        // It can still be seen and removed.
        #expect(try store.list().map(\.names) == [["a"]])
        #expect(try store.list().first?.diskPaths == [])
        try store.remove("a")
        #expect(try files().isEmpty)
    }

    @Test("a full disk is told as such and nothing is left on it", .enabled(if: canMount, "only root mounts"))
    func fullDisk() throws {
        try scratch.write("big/file", SeededBytes.make(3 << 20))
        let small = scratch.appending("small")
        try shell("mkdir small; mount -t tmpfs -o size=2m none small", in: scratch.path)
        defer { _ = try? run("umount", [small]) }
        let store = ImageStore(root: small + "/store")
        let source = scratch.appending("big")
        #expect(code { () throws(ImageError) in try store.importImage(from: source, as: "a") } == .diskFull)
        #expect(try FileManager.default.subpathsOfDirectory(atPath: small).allSatisfy { !$0.hasSuffix(".erofs") })
        try store.importImage(from: try folder(), as: "fits")
    }

    @Test("progress goes forward and says when it is done")
    func progress() throws {
        try scratch.write("big/file", SeededBytes.make(3 << 20))
        var seen: [ImportProgress] = []
        try store.importImage(from: scratch.appending("big"), as: "a") { seen.append($0) }
        #expect(seen.first?.phase == .reading)
        #expect(seen.last?.phase == .finishing)
    }
}

enum SeededBytes {
    static func make(_ count: Int) -> [UInt8] {
        var generator = SeededGenerator(seed: 1)
        return generator.bytes(count)
    }
}
