import CLinux
public import LinuxCalls

/// Memory as it is at one instant, while the guest goes on.
extension GuestMemory {
    /// Keeps all pages as they are now; what is written from here on goes to copies of them. The guest must stand still, and
    /// may go on as soon as this returns.
    ///
    /// The time does not depend on how much memory is in use: the page tables are moved away as a whole and taken apart when
    /// the result is given up, and pages are copied by the kernel when they are written.
    /// - Throws: EINVAL for memory whose pages are not this process's alone; memory is as it was then.
    public func freeze() throws(LinuxError) -> FrozenMemory {
        guard backing == .shared, !hasHugePages else { throw .invalidArgument }
        // What was laid over the file is not in it yet.
        for range in privateRanges {
            guard let start = imageOffset(of: range.start) else { continue }
            unsafe try forEachPart(start, range.lengthBytes) { part, position throws(LinuxError) in
                unsafe try writeAll(fileNumber, UnsafeRawBufferPointer(part), offset: position)
            }
        }
        let image = try Mapping(
            sharing: fileNumber, lengthBytes: Int(truncatingIfNeeded: totalBytes), extraFlags: MAP_NORESERVE)
        let duplicate = try file.duplicate()
        let retiredLow = unsafe retirePages(of: low)
        let retiredHigh = unsafe high.flatMap { unsafe retirePages(of: $0) }
        unsafe try mapPrivately(low)
        if let high = unsafe high { unsafe try mapPrivately(high) }
        privateRanges = []
        backing = .frozen
        return FrozenMemory(
            file: duplicate, image: image, retiredLow: retiredLow, retiredHigh: retiredHigh, totalBytes: totalBytes)
    }

    /// Moves the page tables of a region elsewhere, where they can be taken apart later: for each page that takes time in
    /// which the guest stands still. Nil when the kernel cannot; nothing is lost in any case, for all pages are the file's.
    @unsafe private func retirePages(of region: MemoryRegion) -> Mapping? {
        // What is laid over the file is small, and taken apart in its place.
        let large: UInt = 2 << 20
        let length = unsafe Int(truncatingIfNeeded: region.lengthBytes)
        guard let place = try? Mapping(reservedBytes: length + Int(large)) else { return nil }
        // Tables are moved whole only between addresses that are alike in their low bits.
        let shift = unsafe (UInt(bitPattern: region.hostBase) &- UInt(bitPattern: place.base)) & (large - 1)
        let target = unsafe place.base + Int(shift)
        var start: UInt64 = 0
        for hole in unsafe holes(in: region) {
            if hole.start > start { unsafe move(region, start, hole.start - start, to: target) }
            start = max(start, hole.end)
        }
        if unsafe start < region.lengthBytes { unsafe move(region, start, region.lengthBytes - start, to: target) }
        return place
    }

    /// Where other files than this one lie in a region, in rising order.
    @unsafe private func holes(in region: MemoryRegion) -> [(start: UInt64, end: UInt64)] {
        var holes: [(start: UInt64, end: UInt64)] = []
        for range in privateRanges where unsafe contains(range, region) {
            let start = unsafe range.start.value - region.start.value
            let place = holes.firstIndex { $0.start > start } ?? holes.count
            holes.insert((start, start + range.lengthBytes), at: place)
        }
        return holes
    }

    @unsafe private func contains(_ range: GuestRange, _ region: MemoryRegion) -> Bool {
        unsafe range.start >= region.start && range.start.value - region.start.value < region.lengthBytes
    }

    @unsafe private func move(
        _ region: MemoryRegion, _ start: UInt64, _ lengthBytes: UInt64, to target: UnsafeMutableRawPointer
    ) {
        // The old place stays mapped, without pages: nothing else can be put there meanwhile. Linux before 5.13 refuses.
        // Source: mremap(2): MREMAP_MAYMOVE 1, MREMAP_FIXED 2, MREMAP_DONTUNMAP 4.
        let length = Int(truncatingIfNeeded: lengthBytes)
        let offset = Int(truncatingIfNeeded: start)
        _ = unsafe linux_system_call(
            Int(__NR_mremap), Int(bitPattern: region.hostBase + offset), length, length, 7,
            Int(bitPattern: target + offset), 0)
    }

    /// Lays the file privately where it lay shared.
    @unsafe private func mapPrivately(_ region: MemoryRegion) throws(LinuxError) {
        // SAFETY: the range is wholly this object's own mapping, and has the same bytes afterwards.
        unsafe try systemCall(
            __NR_mmap, Int(bitPattern: region.hostBase), Int(truncatingIfNeeded: region.lengthBytes),
            Int(PROT_READ | PROT_WRITE), Int(MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE), Int(fileNumber),
            Int(truncatingIfNeeded: region.fileOffset))
    }
}

/// Guest memory as it was at one instant; nobody changes it any more. Of any one thread.
@safe public struct FrozenMemory: ~Copyable, Sendable {
    private let file: FileDescriptor
    private let image: Mapping
    private let retiredLow: Mapping?
    private let retiredHigh: Mapping?
    private let totalBytes: UInt64

    fileprivate init(
        file: consuming FileDescriptor, image: consuming Mapping, retiredLow: consuming Mapping?,
        retiredHigh: consuming Mapping?, totalBytes: UInt64
    ) {
        self.file = file
        self.image = image
        self.retiredLow = retiredLow
        self.retiredHigh = retiredHigh
        self.totalBytes = totalBytes
    }

    /// As `GuestMemory.writeImage`, while the guest runs.
    public func writeImage(to destination: Int32) throws(LinuxError) -> UInt64 {
        try changeLength(destination, lengthBytes: totalBytes)
        var written: UInt64 = 0
        var offset: UInt64 = 0
        while let data = try nextData(file.number, from: offset) {
            let end = min(data.end, totalBytes)
            // SAFETY: the range lies inside the mapping.
            written &+= unsafe try writeNonzeroPages(
                UnsafeRawBufferPointer(
                    start: image.base + Int(truncatingIfNeeded: data.start),
                    count: Int(truncatingIfNeeded: end - data.start)),
                at: data.start, to: destination)
            offset = data.end
        }
        return written
    }
}
