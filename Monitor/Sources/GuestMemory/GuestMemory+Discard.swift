import CLinux
import LinuxCalls

/// Giving memory back to the host.
extension GuestMemory {
    /// From now on it is noted what is given back.
    public func noteDiscards() { discardLock.withLock { discarded = PageRuns() } }

    /// What was given back since `noteDiscards`; nothing is noted any more.
    public func takeDiscards() -> PageRuns { discardLock.withLock { discarded.take() ?? PageRuns() } }

    /// Gives a range's pages back to the host; the guest finds zeros there (or what the file says that was mapped over
    /// the range) when it touches them again. Parts of pages at either end are left as they are.
    ///
    /// - Returns: how many bytes were given back; zero when the kernel could not, or memory is kept as it was.
    /// - Throws: `outOfRange` when not the whole range is memory of one region; nothing is changed then.
    public func discard(_ address: GuestAddress, lengthBytes: UInt64) throws(GuestMemoryError) -> UInt64 {
        // SAFETY: the range is checked, and so lies in the mapping of one region.
        let start = unsafe try Int(bitPattern: checkedHost(address, lengthBytes))
        if isInFile(address) { throw .outOfRange(address, lengthBytes: lengthBytes) }
        let mask = hasHugePages ? (2 << 20) - 1 : 4095
        let first = (start + mask) & ~mask
        let end = (start + Int(truncatingIfNeeded: lengthBytes)) & ~mask
        guard first < end else { return 0 }
        let staysHere = discardLock.withLock {
            if isKept { return true }
            if let offset = imageOffset(of: address) {
                noteKnown(offset &+ UInt64(first - start), lengthBytes: UInt64(end - first))
            }
            if let noted = discarded, let offset = imageOffset(of: address) {
                // Whole pages of which a part lies in the range.
                var run = PageRuns()
                let page = offset / Self.pageBytes
                run.append(
                    .init(
                        first: UInt32(truncatingIfNeeded: page),
                        count: UInt32(truncatingIfNeeded: (offset &+ lengthBytes &+ 4095) / Self.pageBytes &- page)))
                discarded = noted.union(run)
            }
            return false
        }
        if staysHere { return 0 }
        // Punches a hole in the file behind the memory, which takes the pages out of every mapping of it too.
        var result = linux_system_call(Int(__NR_madvise), first, end - first, Int(MADV_REMOVE), 0, 0, 0)
        if result < 0 {
            // A private mapping of a file has no hole to punch; its own copies of pages are dropped.
            result = linux_system_call(Int(__NR_madvise), first, end - first, Int(MADV_DONTNEED), 0, 0, 0)
        }
        if result == 0, server == .thisProcess, !hasHugePages, let number = pageServerNumber {
            // Else the guest would find what the snapshot has there, and not what it may rely on.
            try? UserFault.putZeros(number, at: UInt64(first), lengthBytes: UInt64(end - first))
        }
        return result < 0 ? 0 : UInt64(end - first)
    }
}
