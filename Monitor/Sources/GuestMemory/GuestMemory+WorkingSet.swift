import CLinux
public import LinuxCalls

/// What a guest that began as an image has touched, and having it there the next time.
extension GuestMemory {
    /// The pages that were touched; the kernel maps those around one that is read too, when it has them.
    /// - Parameter written: those of them that are copies of this process's own by now.
    /// - Throws: EINVAL for memory that did not begin as an image, ENOENT where `/proc` cannot be seen.
    public func touchedPages() throws(LinuxError) -> (read: PageRuns, written: PageRuns) {
        if !known.isEmpty { return (knownHugePages, PageRuns()) }
        guard backing == .image else { throw .invalidArgument }
        guard let written = try pages(where: Self.isOwn),
            // There (bit 63), and of a file (bit 61).
            let read = try pages(where: { $0 & 0xa0 == 0xa0 })
        else { throw .noEntry }
        return (read, written)
    }

    /// Has pages in this process's page table before the guest touches them: read from the image where the host has not read
    /// them yet, and copied where the guest will write them. Any thread; the guest may run meanwhile.
    /// - Throws: what is wrong with the image's file (EFAULT), or that Linux is before 5.14 (EINVAL); the guest finds its
    ///   pages in any case, or meets the same trouble.
    public func prefetch(_ pages: PageRuns, isWritten: Bool) throws(LinuxError) {
        for run in pages.runs {
            let start = UInt64(run.first) &* Self.pageBytes
            guard start < totalBytes else { break }
            let lengthBytes = min(UInt64(run.count) &* Self.pageBytes, totalBytes &- start)
            unsafe try forEachPart(start, lengthBytes) { part, _ throws(LinuxError) in
                // SAFETY: the part is this object's own mapping, and its bytes stay what they are.
                unsafe try systemCallRestarting(
                    __NR_madvise, Int(bitPattern: part.baseAddress), part.count,
                    Int(isWritten ? MADV_POPULATE_WRITE : MADV_POPULATE_READ))
            }
        }
    }
}
