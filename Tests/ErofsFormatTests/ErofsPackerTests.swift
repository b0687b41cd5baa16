import Archives
import FileTrees
import HostFiles
import ImageFixtures
import Testing

@testable import ErofsFormat

/// What a segment's clusters look like, whatever the content.
@Suite struct ErofsPackerTests {
    let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    /// Text and noise in turns, of any length.
    private func mixture(_ generator: inout SeededGenerator) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...6, using: &generator) {
            let count = Int.random(in: 1...150_000, using: &generator)
            if generator.chance(50) {
                bytes += generator.bytes(count)
            } else {
                let word = generator.bytes(Int.random(in: 1...40, using: &generator))
                while bytes.count % 150_000 < count { bytes += word }
            }
        }
        return bytes
    }

    @Test("the clusters of any file cover it, and the kernel's rules hold for their table")
    func clusters() throws {
        let packer = try DiskBuilder(in: scratch.path).packer
        var compressedCount = 0
        var plainCount = 0
        for seed in 1...150 as ClosedRange<UInt64> {
            var generator = SeededGenerator(seed: seed)
            let content = try packer.pack(MemoryContent(mixture(&generator)))
            #expect(content.isValid, "seed \(seed)")
            guard case .compressed(let clusters) = content.form else { continue }
            compressedCount += 1
            plainCount += clusters.count { $0.isPlain }
            let table = ErofsClusterTable(sizeBytes: content.sizeBytes, clusters: clusters)
                .encoded(after: ErofsLayout.extendedInodeBytes, base: 7)
            #expect(
                table.count
                    == ErofsClusterTable.byteCount(sizeBytes: content.sizeBytes, after: ErofsLayout.extendedInodeBytes))
            // Types: 0 begins a plain cluster, 1 a compressed one, 2 none; only compressed ones go on (Linux fs/erofs/zmap.c).
            let types = stride(from: 16, to: table.count, by: 8).map { table[$0] }
            #expect(types.allSatisfy { $0 <= 2 } && types.first != 2)
            for (type, next) in zip(types, types.dropFirst()) { #expect(type != 0 || next != 2, "seed \(seed)") }
        }
        #expect(compressedCount > 50 && plainCount > 50)
    }

    @Test("the same content is stored once, whatever lies between")
    func duplicates() throws {
        let packer = try DiskBuilder(in: scratch.path).packer
        var generator = SeededGenerator(seed: 1)
        let (one, two) = (generator.bytes(100_000), [UInt8](repeating: 1, count: 5000) + generator.bytes(90_000))
        let forms = try [one, two, one, two].map { try packer.pack(MemoryContent($0)).form }
        #expect(forms[0] == forms[2] && forms[1] == forms[3] && forms[0] != forms[1])
        #expect(try packer.finish() == 25 + 23)
    }

    @Test("a long file of holes takes no room, one that would take too much is refused at once")
    func holes() throws {
        let packer = try DiskBuilder(in: scratch.path, maximumBytes: 1 << 30).packer
        let holes = try packer.pack(MemoryContent([1], at: 1 << 35, sizeBytes: 1 << 40))
        #expect(holes.isValid)
        #expect(throws: FileTreeError.self) { try packer.pack(MemoryContent([1], at: 0, sizeBytes: UInt64(Int64.max))) }
        #expect(try packer.finish() <= 1 << 10)
    }

    @Test("numbers that do not add up are seen")
    func validity() {
        func isValid(_ sizeBytes: UInt64, _ form: PackedContent.Form) -> Bool {
            PackedContent(sizeBytes: sizeBytes, form: form, segment: 0).isValid
        }
        func cluster(_ offset: UInt64, _ blocks: UInt32, plain: Bool = false) -> PackedContent.Cluster {
            PackedContent.Cluster(offset: offset, block: 0, blockCount: blocks, isPlain: plain)
        }
        #expect(isValid(20_000, .compressed([cluster(0, 2)])))
        #expect(isValid(20_000, .compressed([cluster(0, 1), cluster(5000, 1, plain: true), cluster(8192, 2)])))
        for form: PackedContent.Form in [
            .compressed([]), .compressed([cluster(1, 1)]), .compressed([cluster(0, 0)]), .compressed([cluster(0, 17)]),
            .compressed([cluster(0, 1), cluster(4000, 1)]), .compressed([cluster(0, 1), cluster(20_000, 1)]),
            .compressed([cluster(0, 1), cluster(5000, 2, plain: true), cluster(8192, 2)]),
            .compressed([cluster(0, 1), cluster(9000, 1), cluster(8192, 2)]), .small(offset: 0),
            .chunked(PackedContent.Chunks(bits: 12, blocks: [nil])),
            .chunked(PackedContent.Chunks(bits: 11, blocks: Array(repeating: nil, count: 10))),
            .chunked(PackedContent.Chunks(bits: 64, blocks: [nil])),
        ] {
            #expect(!isValid(20_000, form), "\(form)")
        }
        #expect(!isValid(.max, .flat(block: 0)) && !isValid(1 << 44, .compressed([cluster(0, 1)])))
        #expect(!isValid(1 << 42, .compressed([cluster(0, 1)])))
    }
}

/// Bytes in memory as a file's content, the rest holes.
private final class MemoryContent: PackableContent {
    private let bytes: [UInt8]
    private var offset = 0
    let sizeBytes: UInt64
    let extents: [TarEntry.Extent]

    init(_ bytes: [UInt8], at offset: UInt64 = 0, sizeBytes: UInt64? = nil) {
        self.bytes = bytes
        self.sizeBytes = sizeBytes ?? UInt64(bytes.count)
        extents = [TarEntry.Extent(offset: offset, length: UInt64(bytes.count))]
    }

    func read(into buffer: inout [UInt8]) -> Int {
        let count = min(buffer.count, bytes.count - offset)
        buffer.replaceSubrange(0..<count, with: bytes[offset..<(offset + count)])
        offset += count
        return count
    }
}
