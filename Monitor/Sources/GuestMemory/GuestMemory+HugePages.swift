import CLinux
public import LinuxCalls

/// Memory of huge pages: put in their places one by one, and kept as they were at one instant while the guest goes on.
extension GuestMemory {
    public static var hugePageBytes: UInt64 { 2 << 20 }

    /// How many there are of them.
    public var hugePageCount: UInt64 { totalBytes / Self.hugePageBytes }

    /// The page that lies at an address of this process; nil for none.
    public func hugePage(atHostAddress address: UInt64) -> UInt64? {
        page(atHostAddress: address).map { $0 / (Self.hugePageBytes / Self.pageBytes) }
    }

    // MARK: Put in their places

    /// Puts a page of the image in its place, unless there is one already; zeros when it was there once and was given back.
    /// - Parameters:
    ///   - image: where all of it is mapped in this process. The kernel reads there; an address of nothing is an error.
    ///   - zeros: where a page of them is.
    public func placeHugePage(_ page: UInt64, from image: UInt64, zeros: UInt64) throws(LinuxError) {
        guard page < hugePageCount, let number = pageServerNumber, let address = hugePageAddress(page) else {
            throw .invalidArgument
        }
        let offset = page &* Self.hugePageBytes
        let isNew = discardLock.withLock { noteKnown(offset, lengthBytes: Self.hugePageBytes) }
        let source = isNew ? image &+ offset : zeros
        // Its pages are mapped first: for those that are not the kernel takes a page more of the pool, which may have none.
        // They may go again before they are copied.
        var attempts = 3
        while true {
            do throws(LinuxError) {
                try Self.advise(MADV_POPULATE_READ, source)
                try UserFault.putHuge(number, from: source, at: address)
                break
            } catch {
                attempts -= 1
                if error.number != ENOMEM || attempts == 0 { throw error }
            }
        }
        // They are not this process's to keep.
        try? Self.advise(MADV_DONTNEED, source)
    }

    private static func advise(_ advice: Int32, _ source: UInt64) throws(LinuxError) {
        // SAFETY: the page is of a mapping that is only read, and reads the same afterwards.
        unsafe try systemCallRestarting(
            __NR_madvise, Int(truncatingIfNeeded: source), Int(hugePageBytes), Int(advice))
    }

    /// Holding `discardLock`.
    /// - Returns: whether one of them was not known.
    @discardableResult
    func noteKnown(_ offset: UInt64, lengthBytes: UInt64) -> Bool {
        if known.isEmpty { return false }
        var isNew = false
        var page = Int(truncatingIfNeeded: offset / Self.hugePageBytes)
        let end = min(page + Int(truncatingIfNeeded: lengthBytes / Self.hugePageBytes), Int(hugePageCount))
        while page < end {
            let bit: UInt64 = 1 << UInt64(page % 64)
            if known[page / 64] & bit == 0 { isNew = true }
            known[page / 64] |= bit
            page += 1
        }
        return isNew
    }

    /// The pages that this process has put in their places, or that were given back.
    var knownHugePages: PageRuns {
        var pages = PageRuns()
        let known = discardLock.withLock { self.known }
        let perPage = UInt32(Self.hugePageBytes / Self.pageBytes)
        for page in 0..<UInt32(truncatingIfNeeded: hugePageCount)
        where known[Int(page / 64)] & 1 << UInt64(page % 64) != 0 {
            pages.append(.init(first: page &* perPage, count: perPage))
        }
        return pages
    }

    /// Only the number is used.
    private func hugePageAddress(_ page: UInt64) -> UInt64? {
        guard let pointer = unsafe pointer(toImageOffset: page &* Self.hugePageBytes) else { return nil }
        return UInt64(UInt(bitPattern: pointer))
    }

    // MARK: Kept as they were

    /// From now on whoever writes a page waits until `letWrite`, and nothing is given back. The guest must stand still, and all
    /// pages that others put in their places must be there.
    /// - Parameter descriptor: made for protection; it tells who waits.
    public func beginKeeping(_ descriptor: Int32) throws(LinuxError) {
        if server != .kernel { endServing() }
        server = .kernel
        do throws(LinuxError) {
            unsafe try forEachRegion { region throws(LinuxError) in
                unsafe try UserFault.begin(descriptor, region, UserFault.Wait.protected)
                try UserFault.protect(
                    descriptor, true, at: UInt64(UInt(bitPattern: region.baseAddress)),
                    lengthBytes: UInt64(region.count))
            }
        } catch {
            endKeeping(descriptor)
            throw error
        }
        discardLock.withLock { isKept = true }
    }

    /// Writes those parts of a page that are not all zeros to where they lie in the image, in a file of its length.
    public func writeHugePage(_ page: UInt64, to destination: Int32) throws(LinuxError) {
        _ = try writePages(page &* Self.hugePageBytes, Self.hugePageBytes, to: destination)
    }

    /// Lets a page be written again, at once by who waits for it.
    public func letWrite(_ page: UInt64, _ descriptor: Int32) throws(LinuxError) {
        guard let address = hugePageAddress(page) else { throw .invalidArgument }
        try UserFault.protect(descriptor, false, at: address, lengthBytes: Self.hugePageBytes)
    }

    /// Lets all pages be written again. Any thread.
    public func endKeeping(_ descriptor: Int32) {
        unsafe forEachRegion { unsafe UserFault.end(descriptor, $0) }
        discardLock.withLock { isKept = false }
    }
}
