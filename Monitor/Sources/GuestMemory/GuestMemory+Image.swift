import CLinux
public import LinuxCalls

/// All of guest memory as a file: low memory first, then high memory. Pages of zeros become holes.
extension GuestMemory {
    private static let pieceBytes = 1 << 20

    /// Writes the image to a file that is empty. The guest must stand still.
    /// - Returns: how many bytes were written; the rest of the file is holes.
    public func writeImage(to destination: Int32) throws(LinuxError) -> UInt64 {
        try changeLength(destination, lengthBytes: totalBytes)
        var written: UInt64 = 0
        if isPrivate {
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

    /// Where an address lies in the image.
    private func imageOffset(of address: GuestAddress) -> UInt64? {
        // SAFETY: only numbers are taken from the regions.
        if unsafe address.value < low.lengthBytes { return address.value }
        guard let high = unsafe high, unsafe address >= high.start else { return nil }
        return unsafe address.value &- high.start.value &+ high.fileOffset
    }

    /// Writes those of a run of pages that are not all zeros.
    private func writePages(
        _ offset: UInt64, _ lengthBytes: UInt64, to destination: Int32
    ) throws(LinuxError) -> UInt64 {
        var written: UInt64 = 0
        var position = offset
        let end = offset &+ lengthBytes
        while position < end {
            // No piece crosses from one region to the other.
            let limit = unsafe position < low.lengthBytes ? min(end, low.lengthBytes) : end
            guard let base = unsafe pointer(toImageOffset: position) else { throw LinuxError(EINVAL) }
            let count = Int(truncatingIfNeeded: min(limit &- position, UInt64(Self.pieceBytes)))
            // SAFETY: the piece lies inside one region, which stays mapped.
            written &+= unsafe try writePiece(
                UnsafeRawBufferPointer(start: base, count: count), at: position, to: destination)
            position &+= UInt64(count)
        }
        return written
    }

    @unsafe private func pointer(toImageOffset offset: UInt64) -> UnsafeMutableRawPointer? {
        if unsafe offset < low.lengthBytes { return unsafe low.hostBase + Int(truncatingIfNeeded: offset) }
        guard let high = unsafe high, unsafe offset &- high.fileOffset < high.lengthBytes else { return nil }
        return unsafe high.hostBase + Int(truncatingIfNeeded: offset &- high.fileOffset)
    }

    @unsafe private func writePiece(
        _ piece: UnsafeRawBufferPointer, at offset: UInt64, to destination: Int32
    ) throws(LinuxError) -> UInt64 {
        let pageBytes = Int(Self.pageBytes)
        var written: UInt64 = 0
        var start = 0
        while start < piece.count {
            // SAFETY: all ranges lie inside the piece, whose length is whole pages.
            if unsafe isZero(UnsafeRawBufferPointer(rebasing: piece[start..<start + pageBytes])) {
                start += pageBytes
                continue
            }
            var end = start + pageBytes
            while end < piece.count, unsafe !isZero(UnsafeRawBufferPointer(rebasing: piece[end..<end + pageBytes])) {
                end += pageBytes
            }
            unsafe try writeAll(
                destination, UnsafeRawBufferPointer(rebasing: piece[start..<end]), offset: offset &+ UInt64(start))
            written &+= UInt64(end - start)
            start = end
        }
        return written
    }

    @unsafe private func isZero(_ page: UnsafeRawBufferPointer) -> Bool {
        var bits: UInt64 = 0
        // SAFETY: a page holds 512 words.
        for word in stride(from: 0, to: page.count, by: 8) {
            bits |= unsafe page.load(fromByteOffset: word, as: UInt64.self)
        }
        return bits == 0
    }
}
