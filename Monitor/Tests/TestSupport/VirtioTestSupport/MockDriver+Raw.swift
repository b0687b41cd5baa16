public import GuestMemory

/// The ring's fields as they lie in memory, for drivers that do what they should not.
extension MockDriver {
    public func writeDescriptor(
        at place: GuestAddress, _ address: UInt64, _ lengthBytes: UInt32, _ flags: UInt16, next: UInt16
    ) {
        try? memory.store(address, at: place)
        try? memory.store(
            UInt64(lengthBytes) | UInt64(flags) << 32 | UInt64(next) << 48, at: GuestAddress(place.value + 8))
    }

    /// - Parameter flags: 1 next, 2 device-writable, 4 indirect.
    public func setDescriptor(
        _ index: UInt16, address: UInt64, lengthBytes: UInt32, flags: UInt16, next: UInt16
    ) {
        writeDescriptor(
            at: GuestAddress(layout.descriptorTable.value + 16 * UInt64(index)), address, lengthBytes, flags,
            next: next)
    }

    /// - Parameter entry: counted from the beginning; reduced modulo the size.
    public func setAvailable(entry: UInt16, head: UInt16) {
        let place = layout.availableRing.value + 4 + 2 * UInt64(entry % layout.size)
        try? memory.store(head, at: GuestAddress(place))
    }

    public func setAvailableIndex(_ index: UInt16) {
        try? memory.storeRelease(index, at: GuestAddress(layout.availableRing.value + 2))
    }

    public var publishedAvailableIndex: UInt16 {
        (try? memory.load(UInt16.self, at: GuestAddress(layout.availableRing.value + 2))) ?? 0
    }

    public func setAvailableFlags(_ flags: UInt16) { try? memory.store(flags, at: layout.availableRing) }

    /// The used index at which the driver wants an interrupt, with the event index negotiated.
    public func setUsedEvent(_ index: UInt16) {
        try? memory.store(index, at: GuestAddress(layout.availableRing.value + 4 + 2 * UInt64(layout.size)))
    }

    public var publishedUsedIndex: UInt16 {
        (try? memory.loadAcquire(GuestAddress(layout.usedRing.value + 2))) ?? 0
    }

    public var usedFlags: UInt16 { (try? memory.load(UInt16.self, at: layout.usedRing)) ?? 0 }

    /// The available index at which the device wants to be notified, with the event index negotiated.
    public var availableEvent: UInt16 {
        (try? memory.load(UInt16.self, at: GuestAddress(layout.usedRing.value + 4 + 8 * UInt64(layout.size)))) ?? 0
    }
}
