import BootTestSupport
import Testing
import VirtioTestSupport

@testable import GuestBoot

@Suite struct MutationTests {
    @Test(arguments: [0x5317_0001, 0x5317_0002, 0x5317_0003] as [UInt64])
    func `no change to a kernel image traps`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var elf = ElfKernelBuilder(segments: [
            .init(address: 0x10_0000, contents: pattern(5000), fileAlignment: 4096),
            .init(address: 0x20_0000, contents: pattern(100), memoryBytes: 10_000),
        ])
        elf.addPVHEntry(0x10_0010)
        var image = BzImageBuilder(code: pattern(0x900))
        image.setupSectors = 1
        let originals = [elf.bytes, image.bytes]
        let extremes: [UInt8] = [0, 1, 0x7f, 0x80, 0xff]
        for _ in 0..<150 {
            var bytes = originals[Int.random(in: 0...1, using: &random)]
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                // Mostly in the headers, where it matters.
                let limit = Bool.random(using: &random) ? min(0x270, bytes.count) : bytes.count
                let start = Int.random(in: 0..<limit, using: &random)
                let value = extremes.randomElement(using: &random) ?? 0
                for index in start..<min(start + Int.random(in: 1...8, using: &random), bytes.count) {
                    bytes[index] = value
                }
            }
            if Int.random(in: 0..<8, using: &random) == 0 {
                bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
            }
            fuzzKernelImage(bytes)
        }
    }
}
