public import GuestMemory

/// The device's side of a split virtqueue.
///
/// It takes chains from the available ring and gives them back in the used ring. The work of one turn: `nextChain` until
/// nil, `addUsed` for each chain, `publishUsed` once, and one interrupt if that says so.
/// Belongs to the thread of its device. The guest may change every byte at any time: each field is fetched once.
/// Source: virtio 1.3 §2.7.
public struct SplitQueue: ~Copyable {
    public let memory: GuestMemory
    public let layout: QueueLayout
    /// Number of descriptors; a power of two, at most 2^15.
    public let size: UInt16
    let usesEventIndex: Bool
    let usesIndirectDescriptors: Bool
    let mask: UInt16

    /// The available index as it was last fetched.
    var seenAvailable: UInt16
    public internal(set) var nextAvailable: UInt16
    public internal(set) var nextUsed: UInt16
    /// The used index that the driver sees.
    var publishedUsed: UInt16

    /// Takes over a queue that the driver has laid out.
    ///
    /// - Parameter position: where to go on, after a restore; chains that were in flight must have been given back.
    /// - Throws: when the size, an alignment or an address is not acceptable.
    public init(
        validating layout: QueueLayout, memory: GuestMemory, maximumSize: UInt16, acceptedFeatures: UInt64,
        position: QueuePosition = QueuePosition()
    ) throws(QueueError) {
        let size = layout.size
        guard size > 0, size & (size &- 1) == 0, size <= maximumSize, size <= 1 << 15 else { throw .invalidSize(size) }
        let count = UInt64(size)
        // Source: virtio 1.3 §2.7, the table of alignments and sizes.
        try Self.validate(memory, layout.descriptorTable, lengthBytes: 16 * count, alignment: 16)
        try Self.validate(memory, layout.availableRing, lengthBytes: 6 + 2 * count, alignment: 2)
        try Self.validate(memory, layout.usedRing, lengthBytes: 6 + 8 * count, alignment: 4)
        self.memory = memory
        self.layout = layout
        self.size = size
        mask = size &- 1
        usesEventIndex = acceptedFeatures & QueueFeatures.eventIndex != 0
        usesIndirectDescriptors = acceptedFeatures & QueueFeatures.indirectDescriptors != 0
        nextAvailable = position.nextAvailable
        seenAvailable = position.nextAvailable
        nextUsed = position.nextUsed
        publishedUsed = position.nextUsed
    }

    private static func validate(
        _ memory: GuestMemory, _ address: GuestAddress, lengthBytes: UInt64, alignment: UInt64
    ) throws(QueueError) {
        guard address.isAligned(to: alignment) else { throw .misalignedRing(address) }
        guard memory.contains(address, lengthBytes: lengthBytes) else {
            throw .memory(.outOfRange(address, lengthBytes: lengthBytes))
        }
    }

    /// How far the device has come; complete when no chain is in flight.
    public var position: QueuePosition { QueuePosition(nextAvailable: nextAvailable, nextUsed: nextUsed) }

    /// Chains taken and not yet given back; never more than `size`.
    public var inFlight: UInt16 { nextAvailable &- nextUsed }

    /// Takes the next chain, or nil when the driver has made no more available.
    /// - Throws: when the available index or the head is impossible; the queue is of no use then.
    @inline(__always)
    public mutating func nextChain() throws(QueueError) -> DescriptorChain? {
        if nextAvailable == seenAvailable {
            try fetchAvailableIndex()
            if nextAvailable == seenAvailable { return nil }
        }
        let head: UInt16
        let entry = 4 &+ 2 &* UInt64(nextAvailable & mask)
        do throws(GuestMemoryError) {
            head = try memory.load(UInt16.self, at: GuestAddress(layout.availableRing.value &+ entry))
        } catch { throw .memory(error) }
        if head >= size { throw .descriptorIndex(head) }
        nextAvailable &+= 1
        return DescriptorChain(
            head: head, table: layout.descriptorTable, size: size, mayBeIndirect: usesIndirectDescriptors)
    }

    /// Puts back the last chains that were taken: `nextChain` will find them again, fetched anew.
    public mutating func putBack(chains count: UInt16 = 1) {
        nextAvailable &-= min(count, inFlight)
    }

    /// Fetches the available index and judges it: what is available and what is in flight must fit in the queue.
    @inline(__always)
    mutating func fetchAvailableIndex() throws(QueueError) {
        let index: UInt16
        do throws(GuestMemoryError) {
            index = try memory.loadAcquire(GuestAddress(layout.availableRing.value &+ 2))
        } catch { throw .memory(error) }
        if UInt32(index &- nextAvailable) &+ UInt32(inFlight) > UInt32(size) { throw .availableIndexTooFar(index) }
        seenAvailable = index
    }
}
