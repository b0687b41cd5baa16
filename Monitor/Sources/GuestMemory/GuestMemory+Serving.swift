import LinuxCalls

/// Memory whose pages another process puts in their places.
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

    func beginServing() throws(LinuxError) {
        guard let number = pageServerNumber else { return }
        // SAFETY: each range is a region's own mapping.
        let regions = unsafe regions
        for index in unsafe regions.indices {
            let region = unsafe regions[index]
            unsafe try UserFault.begin(
                number,
                UnsafeRawBufferPointer(start: region.hostBase, count: Int(truncatingIfNeeded: region.lengthBytes)))
        }
    }

    /// Lets go of everybody who waits for a page, for the machine's end: whoever was to put it there may be gone.
    public func endServing() {
        guard let number = pageServerNumber else { return }
        // SAFETY: as above.
        let regions = unsafe regions
        for index in unsafe regions.indices {
            let region = unsafe regions[index]
            unsafe UserFault.end(
                number,
                UnsafeRawBufferPointer(start: region.hostBase, count: Int(truncatingIfNeeded: region.lengthBytes)))
        }
    }
}
