import GuestMemory

extension SplitQueue {
    /// Tells the driver that it need not notify while the device is at work. A hint: it may still do.
    @inline(__always)
    public mutating func disableAvailableBufferNotifications() {
        // With the event index, an index that lies behind asks for nothing.
        if !usesEventIndex { try? memory.store(UInt16(1), at: layout.usedRing) }
    }

    /// Tells the driver to notify of the next available buffer.
    ///
    /// - Returns: whether buffers have become available meanwhile: then no notification may come for them, and the
    ///   device must go on at once.
    /// - Throws: when the available index is impossible.
    @inline(__always)
    public mutating func enableAvailableBufferNotifications() throws(QueueError) -> Bool {
        if usesEventIndex {
            // avail_event lies behind the used ring. Source: virtio 1.3 §2.7.10.
            let place = GuestAddress(layout.usedRing.value &+ 4 &+ 8 &* UInt64(size))
            try? memory.store(nextAvailable, at: place)
        } else {
            try? memory.store(UInt16(0), at: layout.usedRing)
        }
        // The wish must be seen before the index is fetched again.
        fullMemoryBarrier()
        try fetchAvailableIndex()
        return seenAvailable != nextAvailable
    }
}
