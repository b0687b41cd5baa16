import Foundation
import LinuxCalls
import Testing

@testable import Snapshots

/// A memory file of a few pages, with its tree.
private final class CheckedFiles {
    let memory: FileDescriptor
    let tree: FileDescriptor
    let root: PageDigest
    let memoryBytes: UInt64
    static let identifier = [UInt8](repeating: 5, count: MachineState.identifierBytes)

    /// Most pages are zeros, holes in the file.
    init(pages: Int) throws {
        memoryBytes = UInt64(pages) * 4096
        memory = try memoryFile(name: "memory", lengthBytes: memoryBytes + 4096)
        tree = try memoryFile(name: "tree", lengthBytes: 0)
        for page in 0..<pages where !Self.isZero(page) {
            try writeAll(memory.number, Self.page(page), offset: UInt64(page) * 4096)
        }
        try writeAll(
            memory.number, MemoryImage.trailer(identifier: Self.identifier, memoryBytes: memoryBytes),
            offset: memoryBytes)
        root = try MemoryTree.write(of: memory.number, to: tree.number)
    }

    static func isZero(_ index: Int) -> Bool { index % 61 > 2 }

    static func page(_ index: Int) -> [UInt8] {
        isZero(index)
            ? [UInt8](repeating: 0, count: 4096)
            : (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ index &* 31 &+ $0 >> 8) }
    }

    func image(root other: PageDigest? = nil) throws -> CheckedImage {
        let image = try MemoryImage(memory.duplicate(), identifier: Self.identifier, memoryBytes: memoryBytes)
        return try CheckedImage(image, tree: tree.duplicate(), root: other ?? root)
    }

    func flip(_ file: borrowing FileDescriptor, at offset: UInt64) throws {
        let byte = try readBytes(file.number, offset: offset, count: 1)[0]
        try writeAll(file.number, [byte ^ 0x10], offset: offset)
    }
}

@Suite struct CheckedImageTests {
    private func digest(_ bytes: [UInt8]) throws -> String {
        let room = try ByteRoom(capacity: 4096)
        for (index, byte) in bytes.enumerated() { room.store(byte, at: index) }
        return PageDigest(of: room, 0).bytes.map { String(format: "%02x", $0) }.joined()
    }

    private func error(_ body: () throws -> Void) -> SnapshotError? {
        do { try body() } catch { return error as? SnapshotError }
        return nil
    }

    /// Source: coreutils' sha256sum.
    @Test func `a page has the digest that others compute`() throws {
        #expect(
            try digest([UInt8](repeating: 0, count: 4096))
                == "ad7facb2586fc6e966c004d7d1d16b024f5805ff7cb47c7a85dabd8b48892ca7")
        #expect(PageDigest.ofZeros.bytes.map { String(format: "%02x", $0) }.joined().hasPrefix("ad7facb2586fc6e9"))
        #expect(
            try digest((0..<4096).map { UInt8($0 & 255) })
                == "c8f5d0341d54d951a71b136e6e2afcb14d11ed8489a7ae126a8fee0df6ecf193")
    }

    @Test(arguments: [2, 128, 129, 300, 128 * 128 + 1])
    func `each page is read as it was when the tree was made`(pages: Int) throws {
        let files = try CheckedFiles(pages: pages)
        let image = try files.image()
        // Upwards, and here and there: blocks of the tree give way to others.
        for index in Array(stride(from: 0, to: pages, by: pages > 1000 ? 121 : 1)) + [0, pages - 1, pages / 2, 1] {
            #expect(try image.read(page: UInt64(index)) == CheckedFiles.isZero(index))
            let found = (0..<4096).map { image.room.load(UInt8.self, at: $0) }
            #expect(found == CheckedFiles.page(index))
        }
    }

    @Test func `a page that was changed is named, whenever that was, and the others stay readable`() throws {
        let files = try CheckedFiles(pages: 300)
        let image = try files.image()
        _ = try image.read(page: 200)
        try files.flip(files.memory, at: 200 * 4096 + 4095)
        try files.flip(files.memory, at: 9 * 4096)
        for page: UInt64 in [200, 9] {
            let found = error { _ = try image.read(page: page) }
            #expect(found == .wrongPage(offset: page * 4096))
            #expect(found?.description.contains("0x" + String(page * 4096, radix: 16)) == true)
        }
        _ = try image.read(page: 201)
        try files.flip(files.memory, at: 200 * 4096 + 4095)
        _ = try image.read(page: 200)
    }

    @Test func `a tree that was changed is found out before it is believed, and not asked again after that`() throws {
        let files = try CheckedFiles(pages: 128 * 128 + 1)
        let image = try files.image()
        // The levels are of 1, 2 and 129 blocks.
        _ = try image.read(page: 0)
        try files.flip(files.tree, at: 3 * 4096)
        try files.flip(files.tree, at: 1 * 4096 + 40)
        _ = try image.read(page: 1)
        try files.flip(files.tree, at: 4 * 4096 + 4000)
        #expect(error { _ = try image.read(page: 130) } == .wrongTree(offset: 4 * 4096, page: 130 * 4096))
        // Page 4096 wants the place of the first block of the lowest level.
        _ = try image.read(page: 4096)
        #expect(error { _ = try image.read(page: 0) } == .wrongTree(offset: 3 * 4096, page: 0))
        #expect(error { _ = try files.image().read(page: 0) } == .wrongTree(offset: 4096, page: 0))
        // All of a page's and of a block's bytes are looked at, those behind the last digest as well.
        try files.flip(files.tree, at: 131 * 4096 + 4095)
        let last: UInt64 = 128 * 128
        #expect(error { _ = try image.read(page: last) } == .wrongTree(offset: 131 * 4096, page: last * 4096))
    }

    @Test func `another root, or a tree of another length, is refused before any page is asked for`() throws {
        let files = try CheckedFiles(pages: 300)
        var bytes = files.root.bytes
        bytes[31] ^= 1
        let other = try #require(PageDigest(bytes: bytes))
        #expect(error { _ = try files.image(root: other) } == .wrongRoot)
        try files.flip(files.tree, at: 5)
        #expect(error { _ = try files.image() } == .wrongRoot)
        try files.flip(files.tree, at: 5)
        for length: UInt64 in [0, 4095, 4 * 4096 - 1, 4 * 4096 + 1] {
            try changeLength(files.tree.number, lengthBytes: length)
            #expect(error { _ = try files.image() } == .treeLength(wanted: 4 * 4096))
        }
    }

    @Test func `files that are cut off later are told`() throws {
        let files = try CheckedFiles(pages: 300)
        let image = try files.image()
        try changeLength(files.memory.number, lengthBytes: 100 * 4096 + 7)
        #expect(error { _ = try image.read(page: 100) } == .cutOff(offset: 100 * 4096))
        try changeLength(files.tree.number, lengthBytes: 4096)
        #expect(error { _ = try image.read(page: 7) } == .cutOff(offset: 4096))
    }

    @Test func `the tree is the one that dm-verity's own tool makes`() throws {
        let tool = "/usr/sbin/veritysetup"
        guard FileManager.default.isExecutableFile(atPath: tool) else {
            print("skipped: veritysetup is not installed")
            return
        }
        let files = try CheckedFiles(pages: 300)
        let folder = NSTemporaryDirectory() + "verity-\(UInt64.random(in: 0...UInt64.max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try Data(readBytes(files.memory.number, offset: 0, count: 300 * 4096))
            .write(to: URL(fileURLWithPath: folder + "/data"))
        _ = FileManager.default.createFile(atPath: folder + "/tree", contents: Data())
        let process = Process()
        process.executableURL = URL(fileURLWithPath: tool)
        process.arguments = [
            "format", "--no-superblock", "--salt=-", "--hash=sha256", "--data-block-size=4096",
            "--hash-block-size=4096", "--data-blocks=300", folder + "/data", folder + "/tree",
        ]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        process.waitUntilExit()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(text.contains(files.root.bytes.map { String(format: "%02x", $0) }.joined()))
        let tree = try Data(contentsOf: URL(fileURLWithPath: folder + "/tree"))
        #expect(try [UInt8](tree) == readBytes(files.tree.number, offset: 0, count: 5 * 4096))
    }
}
