import GuestMemory

extension SplitQueue {
    /// Gives a chain back. The driver sees it after `publishUsed`.
    ///
    /// - Parameter writtenBytes: how many bytes of the device-writable part were filled, from its beginning.
    @inline(__always)
    public mutating func addUsed(head: UInt16, writtenBytes: UInt32) {
        let entry = layout.usedRing.value &+ 4 &+ 8 &* UInt64(nextUsed & mask)
        nextUsed &+= 1
        // The ring was validated, so neither store can fail.
        try? memory.store(UInt32(head), at: GuestAddress(entry))
        try? memory.store(writtenBytes, at: GuestAddress(entry &+ 4))
    }

    /// Shows the driver all chains given back since the last call.
    ///
    /// - Returns: whether the driver wants an interrupt for them.
    @inline(__always)
    public mutating func publishUsed() -> Bool {
        if nextUsed == publishedUsed { return false }
        let before = publishedUsed
        publishedUsed = nextUsed
        try? memory.storeRelease(nextUsed, at: GuestAddress(layout.usedRing.value &+ 2))
        // The index must be seen before the wish is fetched, or both sides may wait for each other.
        fullMemoryBarrier()
        if usesEventIndex {
            // used_event lies behind the available ring. Source: virtio 1.3 §2.7.7.2.
            let place = GuestAddress(layout.availableRing.value &+ 4 &+ 2 &* UInt64(size))
            guard let wanted = try? memory.load(UInt16.self, at: place) else { return true }
            return nextUsed &- wanted &- 1 < nextUsed &- before
        }
        guard let flags = try? memory.load(UInt16.self, at: layout.availableRing) else { return true }
        return flags & 1 == 0
    }
}
