import BootTestSupport
import GuestMemory
import Testing

@testable import GuestBoot

@Suite struct ElfKernelTests {
    @Test(arguments: [false, true])
    func `segments lie at their physical addresses and zeroes follow them`(isMapped: Bool) throws {
        let text = pattern(20_000)
        let data = pattern(5_000, seed: 2)
        let kernel = ElfKernelBuilder(
            entry: 0x100_0123,
            segments: [
                .init(address: 0x100_0000, virtualAddress: 0xffff_ffff_8100_0000, contents: text, fileAlignment: 4096),
                // The start within a page is the same in file and memory, but not a page's start.
                .init(address: 0x100_5000, contents: data, memoryBytes: 9_000, fileAlignment: 4096),
            ])
        let (loaded, memory) = try load(kernel.bytes, mapsFiles: isMapped)
        #expect(try memory.at(0x100_0000, text.count) == text)
        #expect(try memory.at(0x100_5000, data.count) == data)
        #expect(try memory.at(0x100_5000 + 5_000, 4_000).allSatisfy { $0 == 0 })
        #expect(loaded.entry == 0x100_0123)
        #expect(loaded.start == 0x100_0000 && loaded.end == 0x100_5000 + 9_000)
        #expect(loaded.format == .elf && loaded.pvhEntry == nil)
    }

    @Test(arguments: [0, 1, 100, 4095, 4096, 4097, 8191, 8192, 12_289], [0, 1, 4095])
    func `reading and mapping give the same memory`(length: Int, shift: Int) throws {
        let contents = pattern(length)
        // The file's alignment lets the contents begin anywhere in a page; padding brings the address there too.
        let kernel = ElfKernelBuilder(
            entry: 0x20_0000,
            segments: [
                .init(address: 0x20_0000, contents: [0x90]),
                .init(address: 0x30_0000, contents: pattern(shift), fileAlignment: 4096),
                .init(address: 0x40_0000 + UInt64(shift), contents: contents, memoryBytes: 20_000, fileAlignment: 1),
            ])
        let (_, read) = try load(kernel.bytes, mapsFiles: false)
        let (_, mapped) = try load(kernel.bytes, mapsFiles: true)
        #expect(try read.at(0x3f_f000, 40_960) == mapped.at(0x3f_f000, 40_960))
        #expect(try mapped.at(0x40_0000 + UInt64(shift), length) == contents)
    }

    @Test func `what a guest writes to a mapped kernel stays its own`() throws {
        let kernel = ElfKernelBuilder(
            segments: [.init(address: 0x10_0000, contents: pattern(8192), fileAlignment: 4096)])
        let file = try memoryFile(holding: kernel.bytes)
        let first = try GuestMemory(totalBytes: 4 << 20)
        let second = try GuestMemory(totalBytes: 4 << 20)
        _ = try KernelImage.load(file: file.number, into: first)
        _ = try KernelImage.load(file: file.number, into: second)
        try first.write([1, 2, 3], at: GuestAddress(0x10_0000))
        #expect(try second.at(0x10_0000, 8192) == pattern(8192))
        #expect(try first.at(0x10_0000, 3) == [1, 2, 3])
    }

    @Test(arguments: [
        // Data is written, code is not, unless it is rewritten in all of its pages.
        (UInt32(6), UInt64?.none, true), (5, nil, false), (5, 1, false), (5, 2, true), (6, 0, true),
    ])
    func `data and code that is rewritten everywhere are sure to be written`(
        flags: UInt32, alternatives: UInt64?, isSure: Bool
    ) throws {
        var kernel = ElfKernelBuilder(
            segments: [.init(address: 0x10_0000, contents: pattern(8192), fileAlignment: 4096, flags: flags)])
        kernel.alternativesCount = alternatives
        let file = try memoryFile(holding: kernel.bytes)
        let loaded = try KernelImage.load(file: file.number, into: GuestMemory(totalBytes: 4 << 20))
        let whole = GuestRange(start: GuestAddress(0x10_0000), lengthBytes: 8192)
        #expect(loaded.sureToBeWritten == (isSure ? [whole] : []))
    }

    @Test func `section tables that make no sense tell of no alternatives`() throws {
        var kernel = ElfKernelBuilder(segments: [.init(address: 0x10_0000, contents: pattern(64), flags: 5)])
        kernel.alternativesCount = 7
        let right = kernel.bytes
        func alternatives(_ change: (inout [UInt8]) -> Void) throws -> UInt64 {
            var bytes = right
            change(&bytes)
            let file = try memoryFile(holding: bytes)
            return try ElfKernel(KernelFile(file.number, mapsFiles: true)).alternativesCount
        }
        let table = Int(right.field(UInt64.self, at: 40))
        #expect(try alternatives { _ in } == 7)
        #expect(try alternatives { $0.put(UInt64.max, at: 40) } == 0)
        #expect(try alternatives { $0.put(UInt64(table + 1), at: 40) } == 0)
        #expect(try alternatives { $0.put(UInt16(65), at: 58) } == 0)
        #expect(try alternatives { $0.put(UInt16.max, at: 60) } == 0)
        #expect(try alternatives { $0.put(UInt16(2), at: 62) } == 0)
        #expect(try alternatives { $0.put(UInt64.max, at: table + 24) } == 0)
        #expect(try alternatives { $0.put(UInt64.max, at: table + 32) } == 0)
        #expect(try alternatives { $0.put(UInt32.max, at: table + 64) } == 0)
    }

    @Test func `a virtual entry is turned into a physical one`() throws {
        let kernel = ElfKernelBuilder(
            entry: 0xffff_ffff_8100_0040,
            segments: [.init(address: 0x100_0000, virtualAddress: 0xffff_ffff_8100_0000, contents: pattern(100))])
        #expect(try load(kernel.bytes).0.entry == 0x100_0040)
    }

    @Test func `the PVH note and the marks of Linux are found`() throws {
        var kernel = ElfKernelBuilder(code: pattern(64))
        kernel.addNote(name: "GNU", type: 3, contents: [1, 2, 3])
        kernel.addPVHEntry(0x10_0020)
        #expect(try load(kernel.bytes).0.pvhEntry == 0x10_0020)
        #expect(try load(kernel.bytes).0.preferredProtocol == .pvh)
        kernel.addNote(name: "Linux", type: 0x100, contents: [0, 0, 0, 0])
        #expect(try load(kernel.bytes).0.isLinux)
        #expect(try load(kernel.bytes).0.preferredProtocol == .linux64)
        var wide = ElfKernelBuilder(code: pattern(64))
        wide.addNote(name: "Xen", type: 18, contents: [0x10, 0, 0x10, 0, 0, 0, 0, 0])
        #expect(try load(wide.bytes).0.pvhEntry == 0x10_0010)
    }

    @Test func `a PVH entry outside of the segments is refused`() throws {
        var kernel = ElfKernelBuilder(code: pattern(64))
        kernel.addPVHEntry(0x20_0000)
        #expect(try refusal(kernel.bytes) == .kernelMalformed(.entryOutside(0x20_0000)))
    }

    @Test func `notes that make no sense count as none`() {
        for bytes in [
            [UInt8](repeating: 0xff, count: 40), [4, 0, 0, 0], [4, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 18, 0, 0, 0],
        ] {
            var notes = ElfNotes()
            notes.add(LittleEndianFields(bytes: bytes))
            #expect(notes == ElfNotes())
        }
    }

    @Test func `each lie about segments is told apart`() throws {
        func one(_ segment: ElfKernelBuilder.Segment) throws -> BootError? {
            try refusal(ElfKernelBuilder(entry: segment.address, segments: [segment]).bytes)
        }
        #expect(
            try one(.init(address: 0xf_f000, contents: [1])) == .kernelMalformed(.segmentTooLow(0, address: 0xf_f000)))
        #expect(
            try one(.init(address: 0x10_0000, contents: [1, 2], memoryBytes: 1))
                == .kernelMalformed(.segmentLongerInFile(0)))
        #expect(
            try one(.init(address: 0x10_0000, contents: [1], memoryBytes: .max))
                == .kernelMalformed(.segmentWrapsAround(0)))
        #expect(
            try one(.init(address: 0x10_0000, contents: [1], memoryBytes: 64 << 20))
                == .kernelTooLarge(neededBytes: 65 << 20, memoryBytes: 64 << 20))
        #expect(try one(.init(type: 2, address: 0x10_0000, contents: [1])) == .kernelMalformed(.noSegments))
        #expect(try one(.init(type: 3, address: 0x10_0000, contents: [1])) == .kernelMalformed(.needsInterpreter))
        let overlapping = ElfKernelBuilder(segments: [
            .init(address: 0x10_0000, contents: pattern(100)), .init(address: 0x10_0063, contents: pattern(100)),
        ])
        #expect(try refusal(overlapping.bytes) == .kernelMalformed(.segmentsOverlap(0, 1)))
    }

    @Test func `each lie in the header is told apart`() throws {
        func changed(_ change: (inout ElfKernelBuilder) -> Void) throws -> BootError? {
            var kernel = ElfKernelBuilder(code: pattern(64))
            change(&kernel)
            return try refusal(kernel.bytes)
        }
        #expect(try changed { $0.machine = 183 } == .kernelForOtherProcessor(machine: 183))
        #expect(
            try changed {
                $0.machine = 3; $0.elfClass = 1
            } == .kernelFor32Bit(.elf))
        #expect(try changed { $0.byteOrder = 2 } == .kernelMalformed(.bigEndian))
        #expect(try changed { $0.type = 1 } == .kernelMalformed(.notExecutable(type: 1)))
        #expect(try changed { $0.programHeaderBytes = 32 } == .kernelMalformed(.programHeaderSize(32)))
        #expect(try changed { $0.entry = 0x10_0040 } == .kernelMalformed(.entryOutside(0x10_0040)))
        #expect(try changed { $0.segments = [] } == .kernelMalformed(.programHeaderCount(0)))
        var many = ElfKernelBuilder(code: pattern(64)).bytes
        many.put(UInt16(65), at: 56)
        #expect(try refusal(many) == .kernelMalformed(.programHeaderCount(65)))
        many.put(UInt16(64), at: 56)
        #expect(
            try refusal(many)
                == .kernelTruncated(.programHeaders, neededBytes: 64 + 64 * 56, fileBytes: UInt64(many.count)))
    }

    @Test func `a file cut off at any byte is refused`() throws {
        var kernel = ElfKernelBuilder(code: pattern(64))
        kernel.addPVHEntry(0x10_0000)
        let bytes = kernel.bytes
        #expect(try refusal(bytes) == nil)
        for length in 0..<bytes.count {
            switch try refusal(Array(bytes[..<length])) {
            case nil: Issue.record("accepted with \(length) of \(bytes.count) bytes")
            case .kernelEmpty: #expect(length == 0)
            case .kernelFormatUnknown: #expect(length < 4)
            case .kernelTruncated(_, let needed, let actual): #expect(needed > actual && actual == UInt64(length))
            case let other: Issue.record("\(length) bytes: \(String(describing: other))")
            }
        }
    }
}
