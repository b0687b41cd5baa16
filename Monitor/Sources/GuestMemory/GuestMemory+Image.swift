import CLinux
public import LinuxCalls

/// All of guest memory as a file: low memory first, then high memory, then what is plugged. Pages of zeros become holes.
extension GuestMemory {
    /// Writes the image to a file that is empty. The guest must stand still.
    /// - Returns: how many bytes were written; the rest of the file is holes.
    public func writeImage(to destination: Int32) throws(LinuxError) -> UInt64 {
        try changeLength(destination, lengthBytes: imageBytes)
        var written = try writePlugged(to: destination)
        if backing != .shared {
            written &+= try writePages(0, totalBytes, to: destination)
        } else {
            // What was never touched is not even looked at: reading it would take memory from the host.
            var offset: UInt64 = 0
            while let data = try nextData(fileNumber, from: offset) {
                written &+= try writePages(data.start, min(data.end, totalBytes) &- data.start, to: destination)
                offset = data.end
            }
            for range in privateRanges {
                guard let start = imageOffset(of: range.start) else { continue }
                written &+= try writePages(start, range.lengthBytes, to: destination)
            }
        }
        return written
    }

    /// Writes those of some pages that are not all zeros to where they lie in the image, in a file that is empty. The guest
    /// must stand still. Allocates nothing.
    /// - Returns: how many bytes were written.
    public func write(_ pages: borrowing PageRuns, to destination: Int32) throws(LinuxError) -> UInt64 {
        try changeLength(destination, lengthBytes: totalBytes)
        var written: UInt64 = 0
        var index = 0
        while index < pages.runs.count {
            let run = pages.runs[index]
            let start = UInt64(run.first) &* Self.pageBytes
            guard start < totalBytes else { break }
            let lengthBytes = min(UInt64(run.count) &* Self.pageBytes, totalBytes &- start)
            written &+= try writePages(start, lengthBytes, to: destination)
            index &+= 1
        }
        return written
    }

    /// Where an address lies in the image.
    func imageOffset(of address: GuestAddress) -> UInt64? {
        // SAFETY: only numbers are taken from the regions.
        if unsafe address.value < low.lengthBytes { return address.value }
        guard let high = unsafe high, unsafe address >= high.start else { return nil }
        return unsafe address.value &- high.start.value &+ high.fileOffset
    }

    /// Calls `body` with each part of a run of the image's bytes that lies in one region, and where it lies in the image.
    func forEachPart(
        _ offset: UInt64, _ lengthBytes: UInt64,
        _ body: (UnsafeMutableRawBufferPointer, UInt64) throws(LinuxError) -> Void
    ) throws(LinuxError) {
        var position = offset
        let end = offset &+ lengthBytes
        while position < end {
            let limit = unsafe position < low.lengthBytes ? min(end, low.lengthBytes) : end
            guard let base = unsafe pointer(toImageOffset: position) else { throw LinuxError(EINVAL) }
            // SAFETY: the part lies inside one region, which stays mapped.
            unsafe try body(
                UnsafeMutableRawBufferPointer(start: base, count: Int(truncatingIfNeeded: limit &- position)), position)
            position = limit
        }
    }

    /// Writes those of a run of pages that are not all zeros.
    func writePages(
        _ offset: UInt64, _ lengthBytes: UInt64, to destination: Int32
    ) throws(LinuxError) -> UInt64 {
        var written: UInt64 = 0
        unsafe try forEachPart(offset, lengthBytes) { part, position throws(LinuxError) in
            written &+= unsafe try writeNonzeroPages(UnsafeRawBufferPointer(part), at: position, to: destination)
        }
        return written
    }

    @unsafe func pointer(toImageOffset offset: UInt64) -> UnsafeMutableRawPointer? {
        if unsafe offset < low.lengthBytes { return unsafe low.hostBase + Int(truncatingIfNeeded: offset) }
        guard let high = unsafe high, unsafe offset &- high.fileOffset < high.lengthBytes else { return nil }
        return unsafe high.hostBase + Int(truncatingIfNeeded: offset &- high.fileOffset)
    }
}

/// Writes those pages of a buffer that are not all zeros to `offset` of a file and behind. Allocates nothing.
/// - Returns: how many bytes were written.
@unsafe func writeNonzeroPages(
    _ buffer: UnsafeRawBufferPointer, at offset: UInt64, to destination: Int32
) throws(LinuxError) -> UInt64 {
    let pageBytes = Int(GuestMemory.pageBytes)
    let mostBytes = 1 << 20
    var written: UInt64 = 0
    var start = 0
    while start < buffer.count {
        // SAFETY: all ranges lie inside the buffer, whose length is whole pages.
        if unsafe isZero(UnsafeRawBufferPointer(rebasing: buffer[start..<start + pageBytes])) {
            start += pageBytes
            continue
        }
        var end = start + pageBytes
        while end < buffer.count, end - start < mostBytes,
            unsafe !isZero(UnsafeRawBufferPointer(rebasing: buffer[end..<end + pageBytes]))
        {
            end += pageBytes
        }
        unsafe try writeAll(
            destination, UnsafeRawBufferPointer(rebasing: buffer[start..<end]), offset: offset &+ UInt64(start))
        written &+= UInt64(end - start)
        start = end
    }
    return written
}

@unsafe private func isZero(_ page: UnsafeRawBufferPointer) -> Bool {
    var bits: UInt64 = 0
    // SAFETY: a page holds 512 words. Most pages that are not zero are seen to be so in the first words.
    for word in stride(from: 0, to: page.count, by: 64) {
        for next in stride(from: word, to: word + 64, by: 8) {
            bits |= unsafe page.load(fromByteOffset: next, as: UInt64.self)
        }
        if bits != 0 { return false }
    }
    return true
}
