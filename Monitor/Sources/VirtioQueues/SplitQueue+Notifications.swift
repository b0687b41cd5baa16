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

    /// Tells the driver to notify when it makes another buffer available than those that are there now, taken or not.
    ///
    /// - Returns: the available index; when it is another one the next time, buffers have been added.
    /// - Throws: when the available index is impossible.
    public mutating func requestNotificationOfNextAddition() throws(QueueError) -> UInt16 {
        if !usesEventIndex { try? memory.store(UInt16(0), at: layout.usedRing) }
        try fetchAvailableIndex()
        // What is added before the wish is seen is not notified of; a driver that adds for ever is not followed.
        for _ in 0..<4 where usesEventIndex {
            let index = seenAvailable
            try? memory.store(index, at: GuestAddress(layout.usedRing.value &+ 4 &+ 8 &* UInt64(size)))
            fullMemoryBarrier()
            try fetchAvailableIndex()
            if seenAvailable == index { break }
        }
        return seenAvailable
    }
}
