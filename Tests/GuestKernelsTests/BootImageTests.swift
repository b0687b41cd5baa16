import Testing

@testable import GuestKernels

/// A bzImage with nothing in it but its header and a payload.
private func bootImage(payload: [UInt8], setupSectors: UInt8 = 2) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: (Int(setupSectors) + 1) * 512 + 16)
    func put(_ value: Int, _ offset: Int) {
        for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
    }
    bytes[0x1f1] = setupSectors
    put(0x5372_6448, 0x202)
    put(16, 0x248)
    put(payload.count, 0x24c)
    return bytes + payload
}

private func parsed(_ bytes: [UInt8]) -> BootImage? { BootImage(bytes.span) }

private func decompressed(_ bytes: [UInt8], limitBytes: Int) -> [UInt8]? {
    LZ4LegacyFrame.decompress(bytes.span, limitBytes: limitBytes)
}

@Suite struct BootImageTests {
    @Test(arguments: BootImage.Compression.allCases)
    func `The payload is found and its compression told by its first bytes`(kind: BootImage.Compression) throws {
        let payload = kind.magic + [UInt8](repeating: 7, count: 20)
        let image = try #require(parsed(bootImage(payload: payload)))
        #expect(image.compression == kind)
        #expect(image.payload.lowerBound == 3 * 512 + 16)
        #expect(image.payload.count == payload.count - (kind == .gzip ? 0 : 4))
    }

    @Test func `A truncated image, one with another header, and one of an unknown compression are refused`() {
        let image = bootImage(payload: BootImage.Compression.xz.magic + [UInt8](repeating: 7, count: 20))
        for length in 0..<image.count { #expect(parsed(Array(image[..<length])) == nil) }
        #expect(parsed([UInt8](repeating: 0, count: 8192)) == nil)
        #expect(parsed(bootImage(payload: [UInt8](repeating: 9, count: 40))) == nil)
    }

    @Test func `Lengths that point outside are refused`() {
        var image = bootImage(payload: BootImage.Compression.xz.magic + [UInt8](repeating: 7, count: 20))
        for offset in [0x248, 0x24c] {
            var bad = image
            for index in 0..<4 { bad[offset + index] = 0xff }
            #expect(parsed(bad) == nil)
        }
        image[0x1f1] = 255
        #expect(parsed(image) == nil)
    }
}

@Suite struct LZ4LegacyFrameTests {
    private func frame(_ blocks: [[UInt8]]) -> [UInt8] {
        blocks.reduce(into: LZ4LegacyFrame.magic) { bytes, block in
            for shift in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: block.count >> shift)) }
            bytes += block
        }
    }

    @Test func `Literals and overlapping matches are restored, block after block`() {
        // "ab", then six bytes from two back, then the literal "c".
        let block: [UInt8] = [0x22, 0x61, 0x62, 2, 0, 0x10, 0x63]
        #expect(decompressed(frame([block]), limitBytes: 100) == Array("ababababc".utf8))
        let twice = decompressed(frame([block, block]), limitBytes: 100)
        #expect(twice == Array("ababababcababababc".utf8))
    }

    @Test func `Long literals use further length bytes`() {
        let literals = [UInt8](repeating: 5, count: 300)
        let block: [UInt8] = [0xf0, 255, 30] + literals
        #expect(decompressed(frame([block]), limitBytes: 1000) == literals)
    }

    @Test func `The size that the kernel's build appends is not taken for a block`() {
        let block: [UInt8] = [0x10, 0x63]
        #expect(decompressed((frame([block]) + [1, 0, 0, 0]), limitBytes: 10) == [0x63])
    }

    @Test func `Distances before the block, missing bytes and output above the limit are refused`() {
        let bad: [[UInt8]] = [
            [0x10, 0x61, 2, 0, 0], [0x10, 0x61, 0, 0], [0x20, 0x61], [0xf0], [0x1f, 0x61, 1, 0, 255],
        ]
        for block in bad { #expect(decompressed(frame([block]), limitBytes: 100) == nil) }
        let grows: [UInt8] = [0x1f, 0x61, 1, 0, 255, 255, 0, 0x10, 0x61]
        #expect(decompressed(frame([grows]), limitBytes: 100) == nil)
        #expect(decompressed(frame([grows]), limitBytes: 1000)?.count == 531)
        #expect(decompressed([1, 2, 3, 4, 5], limitBytes: 100) == nil)
    }

    @Test func `Random bytes never do more than be refused`() {
        var generator = SplitMix(state: 42)
        for _ in 0..<3000 {
            let block = (0..<Int.random(in: 1...60, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            let output = decompressed(frame([block]), limitBytes: 4096)
            #expect((output?.count ?? 0) <= 4096)
        }
    }
}

/// A small seeded generator, so that a failure repeats.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
