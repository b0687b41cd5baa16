import Archives
import Foundation
import HostFiles
import ImageFixtures
import ImageStore
import OCIImages
import Testing

/// Layers that images share, and disks that are damaged.
@Suite struct SharedLayerTests {
    let scratch: ScratchFolder
    let store: ImageStore

    init() throws {
        scratch = try ScratchFolder()
        store = ImageStore(root: scratch.appending("store"))
        var generator = SeededGenerator(seed: 9)
        var (base, one, two) = (TarBytes(), TarBytes(), TarBytes())
        base.add("base", generator.bytes(50_000))
        base.add("hidden", generator.bytes(20_000))
        base.add("small", Array("small".utf8))
        one.add("one", generator.bytes(9_000))
        one.add(".wh.hidden", [])
        two.add("two", generator.bytes(10_000))
        var builder = try LayoutBuilder(scratch)
        try builder.add([base.finished(), one.finished()], name: "one")
        // The base lies elsewhere on this disk.
        try builder.add([two.finished(), base.finished()], name: "two")
        _ = try builder.layout()
    }

    @discardableResult
    private func importImage(_ name: String) throws -> StoredImage {
        var settings = ImportSettings()
        settings.layoutReference = name
        return try store.importImage(from: scratch.appending("l"), as: name, settings: settings)
    }

    private func files(_ folder: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: store.root + "/" + folder)) ?? []).sorted()
    }

    private func modified(_ folder: String) throws -> [Date?] {
        try files(folder).map {
            try FileManager.default.attributesOfItem(atPath: "\(store.root)/\(folder)/\($0)")[.modificationDate]
                as? Date
        }
    }

    /// What the kernel finds on an image's disk.
    private func sums(_ image: StoredImage) throws -> String {
        let disk = try HostFile(HostPath(scratch.appending("disk")), [.readWrite, .create, .truncate])
        try store.copyDisk(of: image, to: disk)
        try shell("mkdir -p mnt; mount -t erofs -o loop,ro disk mnt", in: scratch.path)
        defer { _ = try? run("umount", [scratch.appending("mnt")]) }
        return try shell("sha256sum * | cut -c1-16,65-", in: scratch.appending("mnt"))
    }

    @Test(
        "a layer that two images have is converted once, and right wherever it lies",
        .enabled(if: canMount, "only root mounts"))
    func sharing() throws {
        let one = try importImage("one")
        #expect(files("layers").count == 4 && files("segments").count == 4)
        let before = try modified("segments")
        let two = try importImage("two")
        #expect(files("layers").count == 6 && files("segments").count == 6)
        #expect(try Set(modified("segments")).isSuperset(of: before))
        let shared = Set(one.diskPaths).intersection(two.diskPaths)
        #expect(shared.count == 1 && shared.first?.hasSuffix(".blocks") == true)
        #expect(try sums(one).split(separator: "\n").map { $0.split(separator: " ").last } == ["base", "one", "small"])
        let (first, second) = (try sums(one), try sums(two))
        #expect(first.split(separator: "\n")[0] == second.split(separator: "\n")[0])
        #expect(
            second.split(separator: "\n").map { $0.split(separator: " ").last } == ["base", "hidden", "small", "two"])
        // What both need stays until the second goes.
        try store.remove("one")
        #expect(files("layers").count == 4 && files("segments").count == 4)
        #expect(try store.verify(two).isEmpty)
        #expect(try sums(try store.resolve("two")) == second)
        try store.remove("two")
        #expect(files("layers").isEmpty && files("segments").isEmpty && files("disks").isEmpty)
    }

    @Test("a damaged block is found wherever it is, and mended by importing again")
    func damage() throws {
        let (one, two) = (try importImage("one"), try importImage("two"))
        #expect(try store.verify(one).isEmpty)
        var block: UInt64 = 0
        for (part, path) in zip(one.parts, one.diskPaths) {
            let file = try HostFile(HostPath(path), [.readWrite])
            try file.write([0xa5], at: 100)
            let damage = try store.verify(one)
            #expect(damage.contains { $0.part == part && $0.block == block }, "\(part)")
            #expect(try store.verify(two).isEmpty != two.parts.contains(part))
            try importImage("one")
            #expect(try store.verify(one).isEmpty && store.verify(two).isEmpty)
            block += part.blockCount
        }
    }

    @Test("an index or small contents that are damaged are not believed")
    func damagedLayers() throws {
        let whole = try importImage("one")
        try store.remove("one")
        for kind in ["index", "small", "leaves"] {
            try importImage("two")
            let folder = kind == "leaves" ? "segments" : "layers"
            for name in files(folder) where name.hasSuffix(kind) {
                let file = try HostFile(HostPath("\(store.root)/\(folder)/\(name)"), [.readWrite])
                if try file.status().sizeBytes > 0 { try file.truncate(to: try file.status().sizeBytes - 1) }
            }
            #expect(try importImage("one").diskDigest == whole.diskDigest, "\(kind)")
            #expect(try store.verify(store.resolve("one")).isEmpty)
            for name in ["one", "two"] { try store.remove(name) }
        }
    }

    @Test("an image of more layers than a disk has room for is refused with their number")
    func tooManyLayers() throws {
        var builder = try LayoutBuilder(scratch)
        let layers = (0..<255).map { number in
            var tar = TarBytes()
            tar.add("file\(number)", [UInt8](repeating: UInt8(number), count: 5000))
            return tar.finished()
        }
        try builder.add(layers, name: "many")
        _ = try builder.layout()
        do {
            try importImage("many")
            Issue.record("it is taken")
        } catch let error as ImageError {
            #expect(error.code == .invalidSource && "\(error)".contains("255 of its layers"))
        }
        #expect(files("layers").isEmpty || files("temporary").isEmpty)
    }

    @Test("many imports of images that share a layer, at once, all come out right")
    func concurrent() async throws {
        try await withThrowingTaskGroup { group in
            for round in 0..<16 {
                group.addTask {
                    let name = round % 2 == 0 ? "one" : "two"
                    _ = try self.importImage(name)
                    if round % 3 == 0 { _ = try? self.store.remove(name) }
                }
            }
            try await group.waitForAll()
        }
        for name in ["one", "two"] {
            try importImage(name)
            #expect(try store.verify(store.resolve(name)).isEmpty)
        }
        #expect(files("temporary").isEmpty && files("layers").count == 6)
    }
}
