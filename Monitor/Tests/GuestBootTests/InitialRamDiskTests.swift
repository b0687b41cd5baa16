import BootTestSupport
import GuestMemory
import LinuxCalls
import Testing

@testable import GuestBoot

@Suite struct InitialRamDiskTests {
    private let kernel = ElfKernelBuilder(code: pattern(5000)).bytes

    @Test(arguments: [false, true])
    func `several disks lie one behind the other at the top of memory`(isMapped: Bool) throws {
        let disks = [pattern(9001, seed: 3), [], pattern(4096, seed: 4), pattern(7, seed: 5)]
        let (boot, memory) = try prepare(kernel, ramDisks: disks, mapsFiles: isMapped)
        #expect(boot.initialRamDiskStart % 4096 == 0)
        #expect(boot.initialRamDiskBytes == 3 * 4096 + 4096 + 7)
        #expect(boot.initialRamDiskStart + boot.initialRamDiskBytes <= 64 * mebibyte)
        #expect(
            boot.sureToBeWritten.last
                == GuestRange(start: GuestAddress(boot.initialRamDiskStart), lengthBytes: boot.initialRamDiskBytes))
        #expect(64 * mebibyte - (boot.initialRamDiskStart + boot.initialRamDiskBytes) < 4096)
        let gap = [UInt8](repeating: 0, count: 3 * 4096 - 9001)
        #expect(
            try memory.at(boot.initialRamDiskStart, Int(boot.initialRamDiskBytes))
                == disks[0] + gap + disks[2] + disks[3])
        let page = try memory.at(boot.processor.rsi, 4096)
        #expect(page.field(UInt32.self, at: 0x218) == UInt32(boot.initialRamDiskStart))
        #expect(page.field(UInt32.self, at: 0x21c) == UInt32(boot.initialRamDiskBytes))
    }

    @Test func `no disk or an empty one means none`() throws {
        for disks in [[], [[]]] as [[[UInt8]]] {
            let (boot, memory) = try prepare(kernel, ramDisks: disks)
            #expect(boot.initialRamDiskStart == 0 && boot.initialRamDiskBytes == 0)
            #expect(try memory.at(boot.processor.rsi + 0x218, 8).allSatisfy { $0 == 0 })
        }
    }

    @Test func `what does not fit beside the kernel is refused with the figures`() throws {
        // Kernel from 1 MiB to 0x102000 with its last page; the rest is free.
        let free = 2 * mebibyte - 0x10_2000
        let fitting = pattern(Int(free))
        #expect(try prepare(kernel, ramDisks: [fitting], memoryBytes: 2 << 20).0.initialRamDiskStart == 0x10_2000)
        #expect(
            throws: BootError.initialRamDiskTooLarge(
                bytes: free + 1, availableBytes: free, memoryBytes: 2 << 20)
        ) { try prepare(kernel, ramDisks: [fitting + [1]], memoryBytes: 2 << 20) }
    }

    @Test func `a size that no memory has is refused before anything is read`() throws {
        let disk = try memoryFile(name: "huge", lengthBytes: 1 << 62)
        let kernel = try memoryFile(holding: kernel)
        let request = BootRequest(
            kernel: kernel.number, initialRamDisks: [disk.number, disk.number, disk.number], commandLine: "",
            platform: PlatformDescription(processorIdentifiers: [0]))
        #expect(throws: BootError.self) { try request.prepare(in: try GuestMemory(totalBytes: 4 << 20)) }
    }

    @Test func `a disk that cannot be read is named by its place`() throws {
        let kernel = try memoryFile(holding: kernel)
        let disk = try memoryFile(holding: [1])
        let request = BootRequest(
            kernel: kernel.number, initialRamDisks: [disk.number, -1], commandLine: "",
            platform: PlatformDescription(processorIdentifiers: [0]))
        #expect(throws: BootError.initialRamDiskUnreadable(index: 1, LinuxError(9))) {
            try request.prepare(in: try GuestMemory(totalBytes: 4 << 20))
        }
    }
}
