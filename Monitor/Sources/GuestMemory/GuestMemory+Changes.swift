import CLinux
public import LinuxCalls

/// Which pages are no longer those of the file that lies behind the memory.
///
/// Behind a private mapping the kernel keeps that record itself: whoever writes a page first (a processor, a device of ours,
/// the kernel on behalf of either) gets a copy of it that belongs to this process. No writer can be forgotten, and writing
/// costs nothing more.
extension GuestMemory {
    private static let pagesAtATime = 4096

    /// The pages that differ from the file's or may do so. The guest must stand still.
    /// - Throws: EINVAL when what is written goes to the file itself.
    public func changedPages() throws(LinuxError) -> PageRuns {
        guard backing != .shared else { throw .invalidArgument }
        // Where it is not there, as in a jail of somebody else's, the pages are looked at themselves.
        if let own = try pages(where: Self.isOwn) { return own }
        var changed = PageRuns()
        try collectByComparing(&changed)
        return changed
    }

    /// The pages whose entries in the page table, by their high bytes, are wanted; nil where the table cannot be seen.
    func pages(where isWanted: (UInt8) -> Bool) throws(LinuxError) -> PageRuns? {
        guard let table = try? open("/proc/self/pagemap", [.readOnly, .nonBlocking]) else { return nil }
        return try collect(from: table.number, isWanted)
    }

    private func collect(from table: Int32, _ isWanted: (UInt8) -> Bool) throws(LinuxError) -> PageRuns {
        var pages = PageRuns()
        unsafe try forEachPart(0, totalBytes) { part, position throws(LinuxError) in
            let firstPage = Int(bitPattern: part.baseAddress) / Int(Self.pageBytes)
            let count = part.count / Int(Self.pageBytes)
            var done = 0
            while done < count {
                let wanted = min(count - done, Self.pagesAtATime)
                let entries = try readBytes(table, offset: UInt64(firstPage + done) * 8, count: wanted * 8)
                guard entries.count == wanted * 8 else { throw LinuxError(EIO) }
                for page in 0..<wanted where isWanted(entries[page * 8 + 7]) {
                    pages.append(Self.run(position, done + page))
                }
                done += wanted
            }
        }
        return pages
    }

    /// Whether an entry of the page table is of a page that is this process's own: there or swapped out (bits 63 and 62), and
    /// not of a file (bit 61). Source: Linux, Documentation/admin-guide/mm/pagemap.rst.
    static func isOwn(highByte: UInt8) -> Bool { highByte & 0xc0 != 0 && highByte & 0x20 == 0 }

    private static func run(_ position: UInt64, _ page: Int) -> PageRuns.Run {
        PageRuns.Run(first: UInt32(truncatingIfNeeded: position / pageBytes) &+ UInt32(page), count: 1)
    }

    private func collectByComparing(_ changed: inout PageRuns) throws(LinuxError) {
        var pages = changed
        let pageBytes = Int(Self.pageBytes)
        unsafe try forEachPart(0, totalBytes) { part, position throws(LinuxError) in
            var done = 0
            while done < part.count {
                let wanted = min(part.count - done, 1 << 20)
                let before = try readBytes(fileNumber, offset: position &+ UInt64(done), count: wanted)
                guard before.count == wanted else { throw LinuxError(EIO) }
                for start in stride(from: 0, to: wanted, by: pageBytes) {
                    // SAFETY: the page lies in the part, which stays mapped.
                    let now = unsafe UnsafeRawBufferPointer(rebasing: part[done + start..<done + start + pageBytes])
                    if unsafe !now.elementsEqual(before[start..<start + pageBytes]) {
                        pages.append(Self.run(position, (done + start) / pageBytes))
                    }
                }
                done += wanted
            }
        }
        changed = pages
    }

    /// Makes the file what memory is, so that nothing has changed; for memory whose file nobody else has (`freeze`). The
    /// guest must stand still.
    /// - Parameter pages: all that have changed.
    public func settleChanges(_ pages: PageRuns) throws(LinuxError) {
        guard backing == .frozen else { throw .invalidArgument }
        for run in pages.runs {
            let start = UInt64(run.first) &* Self.pageBytes
            guard start < totalBytes else { break }
            let lengthBytes = min(UInt64(run.count) &* Self.pageBytes, totalBytes &- start)
            unsafe try forEachPart(start, lengthBytes) { part, position throws(LinuxError) in
                unsafe try writeAll(fileNumber, UnsafeRawBufferPointer(part), offset: position)
                // The file has it now; the copy goes back to the host.
                _ = linux_system_call(
                    Int(__NR_madvise), Int(bitPattern: part.baseAddress), part.count, Int(MADV_DONTNEED), 0, 0, 0)
            }
        }
    }
}
