import CLinux
public import LinuxCalls

/// Memory whose pages another process, or a thread of this one, puts in their places.
extension GuestMemory {
    /// What that process must know of a region.
    public struct ServedRegion: Sendable {
        /// Where it lies in this process.
        public let address: UInt64
        public let lengthBytes: UInt64
        /// Where its pages lie in the snapshot's memory file.
        public let fileOffset: UInt64
    }

    /// All of them, in rising order.
    public var servedRegions: [ServedRegion] {
        // SAFETY: only numbers are taken from the regions.
        unsafe regions.map { region in
            unsafe ServedRegion(
                address: UInt64(UInt(bitPattern: region.hostBase)), lengthBytes: region.lengthBytes,
                fileOffset: region.fileOffset)
        }
    }

    /// The page of the image that lies at an address of this process; nil for none.
    public func page(atHostAddress address: UInt64) -> UInt64? {
        // SAFETY: only numbers are taken from the regions.
        let offset = unsafe address &- UInt64(UInt(bitPattern: low.hostBase))
        if unsafe offset < low.lengthBytes { return offset / Self.pageBytes }
        guard let high = unsafe high else { return nil }
        let beyond = unsafe address &- UInt64(UInt(bitPattern: high.hostBase))
        return unsafe beyond < high.lengthBytes ? (beyond &+ high.fileOffset) / Self.pageBytes : nil
    }

    /// Puts a page of the image in its place, as a whole, unless there is one already.
    /// - Parameter room: has it at its beginning.
    public func placePage(_ page: UInt64, from room: borrowing ByteRoom) throws(LinuxError) {
        guard let number = pageServerNumber, let address = address(ofPage: page) else { throw .invalidArgument }
        try UserFault.put(number, room, 0, at: address)
    }

    /// The same with a page of zeros, which costs no memory until it is written.
    public func placeZeros(_ page: UInt64) throws(LinuxError) {
        guard let number = pageServerNumber, let address = address(ofPage: page) else { throw .invalidArgument }
        try UserFault.putZeros(number, at: address, lengthBytes: Self.pageBytes)
    }

    private func address(ofPage page: UInt64) -> UInt64? {
        guard page < totalBytes / Self.pageBytes else { return nil }
        // SAFETY: only the number is used.
        guard let pointer = unsafe pointer(toImageOffset: page &* Self.pageBytes) else { return nil }
        return UInt64(UInt(bitPattern: pointer))
    }

    /// Has all pages in their places before a copy of this process is made, in which nobody would put them there.
    public func awaitAllPages() throws(LinuxError) {
        if server == .kernel { return }
        unsafe try forEachPart(0, totalBytes) { part, _ throws(LinuxError) in
            // SAFETY: the part is this object's own mapping, and its bytes stay what they are.
            unsafe try systemCallRestarting(
                __NR_madvise, Int(bitPattern: part.baseAddress), part.count, Int(MADV_POPULATE_READ))
        }
    }

    func beginServing() throws(LinuxError) {
        guard let number = pageServerNumber else { return }
        unsafe try forEachRegion { region throws(LinuxError) in unsafe try UserFault.begin(number, region) }
    }

    /// Lets go of everybody who waits for a page, for the machine's end: whoever was to put it there may be gone.
    public func endServing() {
        guard let number = pageServerNumber else { return }
        unsafe forEachRegion { unsafe UserFault.end(number, $0) }
    }

    /// Calls `body` with each region's own mapping, in rising order.
    @unsafe func forEachRegion<E>(_ body: (UnsafeRawBufferPointer) throws(E) -> Void) throws(E) {
        let regions = unsafe regions
        for index in unsafe regions.indices {
            let region = unsafe regions[index]
            // SAFETY: the region stays mapped.
            unsafe try body(
                UnsafeRawBufferPointer(start: region.hostBase, count: Int(truncatingIfNeeded: region.lengthBytes)))
        }
    }
}
