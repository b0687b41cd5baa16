import GuestMemory

/// An uncompressed kernel as a 64-bit ELF file.
/// Source: System V ABI, chapter 5 "Program Loading" (gABI 4.1); x86-64 psABI 1.0 §4.1.
struct ElfKernel {
    static let magic: [UInt8] = [0x7f, 0x45, 0x4c, 0x46]

    private static let headerBytes = 64
    private static let programHeaderBytes = 56
    private static let programHeaderMaximumCount = 64
    private static let x86_64: UInt16 = 62

    /// One PT_LOAD: where it lies in the file and in physical memory.
    struct Segment: Equatable {
        /// Its place among the program headers.
        var index: Int
        var offset: UInt64
        var fileBytes: UInt64
        var virtualAddress: UInt64
        var address: UInt64
        var memoryBytes: UInt64
        /// PF_W.
        var isWritable: Bool

        /// Checked not to overflow.
        var end: UInt64 { address + memoryBytes }

        func contains(_ other: UInt64) -> Bool { other >= address && other < end }
    }

    let segments: [Segment]
    let entry: UInt64
    let notes: ElfNotes
    /// How many places of its own code the kernel may rewrite.
    let alternativesCount: UInt64

    /// Reads and checks everything but the segments' contents.
    init(_ file: KernelFile) throws(BootError) {
        let header = file.head
        let (count, tableOffset, entry) = try Self.header(header, file)
        let table = try file.bytes(
            .programHeaders, offset: tableOffset, count: count * Self.programHeaderBytes)

        var segments: [Segment] = []
        var notes = ElfNotes()
        for index in 0..<count {
            let base = index * Self.programHeaderBytes
            guard let type = table.value(UInt32.self, at: base),
                let segment = Self.segment(table, at: base, index: index)
            else { throw .kernelTruncated(.programHeaders, neededBytes: tableOffset, fileBytes: file.sizeBytes) }
            switch type {
            case 1 where segment.memoryBytes > 0 || segment.fileBytes > 0:
                try Self.check(segment, file)
                segments.append(segment)
            case 3: throw .kernelMalformed(.needsInterpreter)
            case 4: try notes.add(from: file, segment)
            default: break
            }
        }
        if segments.isEmpty { throw .kernelMalformed(.noSegments) }
        for second in segments.indices.dropFirst() {
            for first in 0..<second
            where segments[first].address < segments[second].end && segments[second].address < segments[first].end {
                throw .kernelMalformed(.segmentsOverlap(segments[first].index, segments[second].index))
            }
        }
        self.segments = segments
        self.notes = notes
        alternativesCount = Self.alternativesCount(file)
        self.entry = try Self.physicalEntry(entry, segments)
    }

    private static func header(
        _ header: LittleEndianFields, _ file: KernelFile
    ) throws(BootError) -> (count: Int, tableOffset: UInt64, entry: UInt64) {
        // The identification is judged before the length: a short file of another class is told what it is.
        guard let elfClass = header.value(UInt8.self, at: 4), let order = header.value(UInt8.self, at: 5),
            let type = header.value(UInt16.self, at: 16), let machine = header.value(UInt16.self, at: 18)
        else { throw .kernelTruncated(.header, neededBytes: UInt64(headerBytes), fileBytes: file.sizeBytes) }
        if order != 1 { throw .kernelMalformed(.bigEndian) }
        if machine != x86_64, elfClass == 2 || machine != 3 { throw .kernelForOtherProcessor(machine: machine) }
        if elfClass != 2 { throw .kernelFor32Bit(.elf) }
        if type != 2 && type != 3 { throw .kernelMalformed(.notExecutable(type: type)) }
        guard let entry = header.value(UInt64.self, at: 24), let tableOffset = header.value(UInt64.self, at: 32),
            let size = header.value(UInt16.self, at: 54), let count = header.value(UInt16.self, at: 56),
            header.count >= headerBytes
        else { throw .kernelTruncated(.header, neededBytes: UInt64(headerBytes), fileBytes: file.sizeBytes) }
        if size != programHeaderBytes { throw .kernelMalformed(.programHeaderSize(size)) }
        guard count >= 1, count <= programHeaderMaximumCount else {
            throw .kernelMalformed(.programHeaderCount(count))
        }
        return (Int(count), tableOffset, entry)
    }

    private static func segment(_ table: LittleEndianFields, at base: Int, index: Int) -> Segment? {
        guard let flags = table.value(UInt32.self, at: base + 4),
            let offset = table.value(UInt64.self, at: base + 8),
            let virtualAddress = table.value(UInt64.self, at: base + 16),
            let address = table.value(UInt64.self, at: base + 24),
            let fileBytes = table.value(UInt64.self, at: base + 32),
            let memoryBytes = table.value(UInt64.self, at: base + 40)
        else { return nil }
        return Segment(
            index: index, offset: offset, fileBytes: fileBytes, virtualAddress: virtualAddress, address: address,
            memoryBytes: memoryBytes, isWritable: flags & 2 != 0)
    }

    private static func check(_ segment: Segment, _ file: KernelFile) throws(BootError) {
        if segment.fileBytes > segment.memoryBytes {
            throw .kernelMalformed(.segmentLongerInFile(segment.index))
        }
        if segment.address.addingReportingOverflow(segment.memoryBytes).overflow {
            throw .kernelMalformed(.segmentWrapsAround(segment.index))
        }
        if segment.address < LowMemoryLayout.highMemory {
            throw .kernelMalformed(.segmentTooLow(segment.index, address: segment.address))
        }
        try file.check(.segment(segment.index), offset: segment.offset, lengthBytes: segment.fileBytes)
    }

    /// Linux gives its entry as a physical address; others give the virtual one.
    private static func physicalEntry(_ entry: UInt64, _ segments: [Segment]) throws(BootError) -> UInt64 {
        for segment in segments where segment.contains(entry) { return entry }
        for segment in segments {
            guard entry >= segment.virtualAddress, entry - segment.virtualAddress < segment.memoryBytes else {
                continue
            }
            return segment.address + (entry - segment.virtualAddress)
        }
        throw .kernelMalformed(.entryOutside(entry))
    }

    /// Whether nearly all pages of a segment are written while the kernel starts: data; what only the start needs, which
    /// Linux overwrites when it frees it; and the code of a kernel that rewrites some place in each of its pages.
    private func isSureToBeWritten(_ segment: Segment) -> Bool {
        segment.isWritable || alternativesCount >= segment.fileBytes / GuestMemory.pageBytes
    }

    /// Puts the segments into guest memory.
    func load(_ file: KernelFile, memory: GuestMemory, lowBytes: UInt64) throws(BootError) -> LoadedKernel {
        var start = UInt64.max
        var end: UInt64 = 0
        for segment in segments {
            start = min(start, segment.address)
            end = max(end, segment.end)
        }
        if end > lowBytes { throw .kernelTooLarge(neededBytes: end, memoryBytes: lowBytes) }
        if let pvhEntry = notes.pvhEntry, !segments.contains(where: { $0.contains(pvhEntry) }) {
            throw .kernelMalformed(.entryOutside(pvhEntry))
        }
        for segment in segments {
            // What is not in the file is zero: so is fresh memory.
            try file.load(
                .segment(segment.index), offset: segment.offset, lengthBytes: segment.fileBytes,
                at: segment.address, memory: memory)
        }
        return LoadedKernel(
            format: .elf, start: start, end: end, entry: entry, pvhEntry: notes.pvhEntry, isLinux: notes.isLinux,
            setupHeader: ZeroPage.setupHeaderForElf, commandLineMaximumBytes: ZeroPage.commandLineUsualMaximumBytes,
            initialRamDiskMaximumAddress: ZeroPage.initialRamDiskUsualMaximumAddress,
            sureToBeWritten: segments.filter(isSureToBeWritten).map {
                GuestRange(start: GuestAddress($0.address), lengthBytes: $0.fileBytes)
            })
    }
}
