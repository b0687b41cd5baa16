import BootTestSupport
import GuestMemory
import Testing

@testable import GuestBoot

@Suite struct ProtocolTests {
    private var kernel: ElfKernelBuilder {
        var kernel = ElfKernelBuilder(entry: 0x10_0010, segments: [.init(address: 0x10_0000, contents: pattern(100))])
        kernel.addPVHEntry(0x10_0020)
        return kernel
    }

    @Test func `the 64-bit protocol enters in long mode with a zero page`() throws {
        let (boot, memory) = try prepare(kernel.bytes, bootProtocol: .linux64)
        let state = boot.processor
        #expect(state.rip == 0x10_0010 && state.rflags == 2 && state.efer == 0x500)
        #expect(state.cr0 & 0x8000_0001 == 0x8000_0001 && state.cr4 == 0x20)
        #expect(state.code.isLong && !state.code.isDefault32)
        #expect(state.code.selector == 0x10 && state.data.selector == 0x18)
        // The descriptors that boot.rst asks for: flat, 4 GiB, execute/read and read/write.
        #expect(try memory.at(state.gdtBase + 0x10, 8).field(UInt64.self, at: 0) == 0x00af_9b00_0000_ffff)
        #expect(try memory.at(state.gdtBase + 0x18, 8).field(UInt64.self, at: 0) == 0x00cf_9300_0000_ffff)
        let page = try memory.at(state.rsi, 4096)
        #expect(page.field(UInt16.self, at: 0x1fe) == 0xaa55)
        #expect(page.field(UInt32.self, at: 0x202) == 0x5372_6448)
        #expect(page[0x210] == 0xff)
        #expect(page.field(UInt64.self, at: 0x70) == 0xe_0000)
        let line = page.field(UInt32.self, at: 0x228)
        #expect(try memory.at(UInt64(line), 6) == Array("quiet\0".utf8))
        // The sentinel must stay zero, or the kernel takes the page for a copy of a file.
        #expect(page[0x1ef] == 0)
    }

    @Test func `page tables map the first 4 GiB to themselves`() throws {
        let (boot, memory) = try prepare(kernel.bytes, bootProtocol: .linux64)
        for address in [0, 0x10_0000, 0x3fff_ffff, 0x4000_0000, 0xd000_1234, 0xffff_ffff] as [UInt64] {
            var table = boot.processor.cr3
            for shift in [39, 30] as [UInt64] {
                let entry = try memory.load(UInt64.self, at: GuestAddress(table + (address >> shift & 511) * 8))
                #expect(entry & 0x83 == 3)
                table = entry & ~0xfff
            }
            let leaf = try memory.load(UInt64.self, at: GuestAddress(table + (address >> 21 & 511) * 8))
            #expect(leaf & 0x83 == 0x83)
            #expect(leaf & ~0x1f_ffff | address & 0x1f_ffff == address)
        }
    }

    @Test func `PVH enters in protected mode with its start information`() throws {
        let disk = pattern(100)
        let (boot, memory) = try prepare(kernel.bytes, ramDisks: [disk], memoryBytes: 5 << 30)
        let state = boot.processor
        #expect(boot.bootProtocol == .pvh)
        #expect(state.rip == 0x10_0020 && state.cr0 == 0x11 && state.cr4 == 0 && state.efer == 0)
        #expect(state.code.isDefault32 && !state.code.isLong && state.code.limit == 0xffff_ffff)
        let info = try memory.at(state.rbx, 56)
        #expect(info.field(UInt32.self, at: 0) == 0x336e_c578 && info.field(UInt32.self, at: 4) == 1)
        #expect(info.field(UInt32.self, at: 12) == 1)
        let module = try memory.at(info.field(UInt64.self, at: 16), 32)
        #expect(module.field(UInt64.self, at: 0) == boot.initialRamDiskStart)
        #expect(module.field(UInt64.self, at: 8) == 100)
        #expect(try memory.at(info.field(UInt64.self, at: 24), 6) == Array("quiet\0".utf8))
        #expect(info.field(UInt64.self, at: 32) == 0xe_0000)
        let count = Int(info.field(UInt32.self, at: 48))
        let map = try memory.at(info.field(UInt64.self, at: 40), count * 24)
        var usable: UInt64 = 0
        for index in 0..<count where map.field(UInt32.self, at: index * 24 + 16) == 1 {
            usable += map.field(UInt64.self, at: index * 24 + 8)
        }
        // All but 1 KiB of tables and the last 384 KiB of the first MiB.
        #expect(usable == (5 << 30) - (385 << 10))
    }

    @Test func `a protocol that the kernel has not is refused`() throws {
        #expect(throws: BootError.protocolUnavailable(.pvh, .bzImage)) {
            try prepare(BzImageBuilder().bytes, bootProtocol: .pvh)
        }
    }

    @Test(arguments: [2 << 20, 128 << 20, 0xd000_0000, 0xd000_1000, 6 << 30] as [UInt64])
    func `the memory map names all memory in rising order without overlaps`(bytes: UInt64) {
        let entries = MemoryMap(totalBytes: bytes).entries
        for (first, second) in zip(entries, entries.dropFirst()) {
            #expect(first.start + first.lengthBytes <= second.start)
        }
        let high = entries.filter { $0.kind == .usable && $0.start >= 1 << 20 }.reduce(0) { $0 + $1.lengthBytes }
        #expect(high == bytes - (1 << 20))
        #expect(entries.allSatisfy { $0.lengthBytes > 0 })
        #expect(entries.allSatisfy { $0.start >= 1 << 32 || $0.start + $0.lengthBytes <= 0xd000_0000 })
    }

    @Test func `random bytes reach Linux as setup data`() throws {
        let (boot, memory) = try prepare(kernel.bytes, bootProtocol: .linux64, randomSeed: pattern(32))
        let place = try memory.at(boot.processor.rsi + 0x250, 8).field(UInt64.self, at: 0)
        let data = try memory.at(place, 48)
        #expect(data.field(UInt64.self, at: 0) == 0)
        #expect(data.field(UInt32.self, at: 8) == 9 && data.field(UInt32.self, at: 12) == 32)
        #expect(Array(data[16...]) == pattern(32))
    }

    @Test func `too little memory and impossible numbers of processors are refused`() {
        #expect(throws: BootError.memoryTooSmall(memoryBytes: 1 << 20)) {
            try prepare(kernel.bytes, memoryBytes: 1 << 20)
        }
        for count in [0, 33] {
            #expect(throws: BootError.processorCountUnsupported(count)) {
                try prepare(
                    kernel.bytes,
                    platform: PlatformDescription(processorIdentifiers: (0..<UInt32(count)).map { $0 }))
            }
        }
    }
}
