import Archives
import HostFiles
import ImageFixtures
import Testing
import VerityTree

@Suite struct VerityTreeTests {
    let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    private func file(_ name: String) throws -> HostFile {
        try HostFile(HostPath(scratch.appending(name)), [.readWrite, .create])
    }

    /// Blocks that all differ.
    private func makeData(_ blocks: Int) -> [UInt8] {
        var generator = SeededGenerator(seed: UInt64(blocks))
        var data = [UInt8](repeating: 0, count: blocks * 4096)
        for start in stride(from: 0, to: data.count, by: 512) {
            data[start] = UInt8.random(in: 0...255, using: &generator)
            data[start + 1] = UInt8.random(in: 0...255, using: &generator)
        }
        return data
    }

    /// Writes data and tree; the digests arrive in pieces of `pieceBlocks`.
    private func make(_ blocks: Int, pieceBlocks: Int = 1000) throws -> (data: [UInt8], root: SHA256Digest) {
        let data = makeData(blocks)
        try scratch.write("data", data)
        let tree = try file("tree")
        try tree.truncate(to: 0)
        var writer = HashTreeWriter(dataBlocks: UInt64(blocks))
        let digests = HashTreeWriter.digests(of: data.span)
        for start in stride(from: 0, to: digests.count, by: pieceBlocks * 32) {
            try writer.append(Array(digests[start..<min(start + pieceBlocks * 32, digests.count)]), to: tree)
        }
        let root = try writer.finish(tree)
        #expect(try tree.path.status().sizeBytes == writer.layout.sizeBytes)
        return (data, root)
    }

    private func damage(_ blocks: Int, _ root: SHA256Digest, pieceBlocks: Int = 100) throws -> [HashTreeDamage] {
        let data = try readFile(scratch.appending("data"))
        let tree = try file("tree")
        var check = HashTreeCheck(dataBlocks: UInt64(blocks), rootHash: root)
        var damage: [HashTreeDamage] = []
        for start in stride(from: 0, to: data.count, by: pieceBlocks * 4096) {
            damage += try check.check(
                data.span.extracting(start..<min(start + pieceBlocks * 4096, data.count)), tree: tree)
        }
        #expect(check.checkedBlocks == UInt64(blocks))
        return damage
    }

    private func flip(_ name: String, at offset: Int) throws {
        var bytes = try readFile(scratch.appending(name))
        bytes[offset] ^= 0x10
        try scratch.write(name, bytes)
    }

    /// Around the ends of one, two and three levels.
    static let sizes = [1, 2, 127, 128, 129, 128 * 128, 128 * 128 + 1]

    @Test(
        "veritysetup accepts trees of every shape, and no other root", .enabled(if: hasTool("veritysetup")),
        arguments: sizes)
    func judgedByVeritysetup(blocks: Int) throws {
        let (_, root) = try make(blocks)
        func verify(_ root: String) throws -> Int32 {
            try run(
                "veritysetup",
                [
                    "verify", "--no-superblock", "--format=1", "--hash=sha256", "--data-block-size=4096",
                    "--hash-block-size=4096", "--data-blocks=\(blocks)", "--salt=-", scratch.appending("data"),
                    scratch.appending("tree"), root,
                ]
            ).status
        }
        #expect(try verify(root.hex) == 0)
        #expect(try verify(SHA256.digest(of: []).hex) != 0)
        #expect(try damage(blocks, root) == [])
    }

    @Test("veritysetup makes the same tree", .enabled(if: hasTool("veritysetup")), arguments: [2, 129, 20_000])
    func sameAsVeritysetup(blocks: Int) throws {
        let (_, root) = try make(blocks)
        let said = try run(
            "veritysetup",
            [
                "format", "--no-superblock", "--format=1", "--hash=sha256", "--data-block-size=4096",
                "--hash-block-size=4096", "--salt=-", scratch.appending("data"), scratch.appending("theirs"),
            ])
        #expect(said.output.contains(root.hex), "\(said.output)")
        #expect(try readFile(scratch.appending("tree")) == readFile(scratch.appending("theirs")))
    }

    @Test func `sizes are those that the kernel computes`() {
        let expected: [UInt64: UInt64] = [
            1: 0, 2: 1, 128: 1, 129: 3, 128 * 128: 129, 128 * 128 + 1: 132, 1 << 20: 8192 + 64 + 1,
        ]
        for (data, tree) in expected { #expect(HashTreeLayout(dataBlocks: data).blocks == tree, "\(data)") }
    }

    @Test func `the pieces in which digests arrive do not matter`() throws {
        var roots: Set<SHA256Digest> = []
        var trees: Set<SHA256Digest> = []
        for pieceBlocks in [1, 3, 127, 128, 129, 5000] {
            roots.insert(try make(4099, pieceBlocks: pieceBlocks).root)
            trees.insert(SHA256.digest(of: try readFile(scratch.appending("tree"))))
        }
        #expect(roots.count == 1 && trees.count == 1)
    }

    @Test func `a flipped bit in the data names its block`() throws {
        let (_, root) = try make(300)
        for block in [0, 127, 128, 299] {
            try flip("data", at: block * 4096 + 17)
            #expect(try damage(300, root, pieceBlocks: 7) == [.data(block: UInt64(block))])
            try flip("data", at: block * 4096 + 17)
        }
        let (_, single) = try make(1)
        try flip("data", at: 4095)
        #expect(try damage(1, single) == [.data(block: 0)])
    }

    @Test func `a flipped bit in the tree, its end missing, or another root, is told with what it vouches for`() throws
    {
        let (_, root) = try make(300)
        // Block 0 is the highest, 1 to 3 vouch for the data; the last bytes are padding, which counts as well.
        for (offset, block, range) in [
            (0, 0, 0..<300), (4095, 0, 0..<300), (4096, 1, 0..<128), (2 * 4096 + 9, 2, 128..<256),
            (4 * 4096 - 1, 3, 256..<300),
        ] as [(Int, UInt64, Range<UInt64>)] {
            try flip("tree", at: offset)
            #expect(try damage(300, root) == [.tree(block: block, dataBlocks: range)])
            try flip("tree", at: offset)
        }
        #expect(try damage(300, SHA256.digest(of: [])) == [.tree(block: 0, dataBlocks: 0..<300)])
        try file("tree").truncate(to: 4 * 4096 - 1)
        #expect(try damage(300, root) == [.tree(block: 3, dataBlocks: 256..<300)])
        try file("tree").truncate(to: 0)
        #expect(try damage(300, root) == [.tree(block: 0, dataBlocks: 0..<300)])
    }
}
