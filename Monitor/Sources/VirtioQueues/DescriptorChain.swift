public import GuestMemory

/// One buffer of a chain. Trust: the range is the guest's word; whoever uses it is checked by `GuestMemory`.
@frozen public struct DescriptorBuffer: Equatable, Sendable {
    public let address: GuestAddress
    public let lengthBytes: UInt32
    /// Whether the device writes it; else the device reads it.
    public let isDeviceWritable: Bool

    @inlinable
    public init(address: GuestAddress, lengthBytes: UInt32, isDeviceWritable: Bool) {
        self.address = address
        self.lengthBytes = lengthBytes
        self.isDeviceWritable = isDeviceWritable
    }
}

/// A request of the driver: buffers that belong together, found one after the other by `next`.
///
/// Every descriptor is fetched once, when `next` comes to it. The walk ends after at most as many steps as the table is
/// long, whatever the guest writes meanwhile. Holds no reference, so it may be kept and copied freely.
public struct DescriptorChain: Sendable {
    /// The most descriptors of an indirect table that are followed; what a vectored call of the kernel can take.
    static let maximumIndirectSteps: UInt32 = 1024

    /// The number by which the chain is given back.
    public let head: UInt16

    private var table: GuestAddress
    private var tableLength: UInt32
    private var nextIndex: UInt32
    private var stepsLeft: UInt32
    private let mayBeIndirect: Bool
    private var isInIndirectTable = false
    private var isAtEnd = false
    private var hasSeenWritable = false
    private var totalBytes: UInt64 = 0

    @inline(__always)
    init(head: UInt16, table: GuestAddress, size: UInt16, mayBeIndirect: Bool) {
        self.head = head
        self.table = table
        tableLength = UInt32(size)
        nextIndex = UInt32(head)
        stepsLeft = UInt32(size)
        self.mayBeIndirect = mayBeIndirect
    }

    /// The next buffer, or nil after the last one.
    /// - Throws: what the driver did wrong; the chain is of no use then, and neither is its queue.
    @inline(__always)
    public mutating func next(in memory: GuestMemory) throws(QueueError) -> DescriptorBuffer? {
        if isAtEnd { return nil }
        var descriptor = try fetch(memory)
        if descriptor.isIndirect {
            try enterIndirectTable(descriptor)
            descriptor = try fetch(memory)
            if descriptor.isIndirect { throw .invalidIndirectTable }
        }
        if descriptor.isDeviceWritable {
            hasSeenWritable = true
        } else if hasSeenWritable {
            throw .readableAfterWritable
        }
        // A chain holds at most 2^32 bytes. Source: virtio 1.3 §2.7.5.2.
        totalBytes &+= UInt64(descriptor.lengthBytes)
        if totalBytes > 1 << 32 { throw .tooManyBytes }
        if descriptor.hasNext { nextIndex = UInt32(descriptor.next) } else { isAtEnd = true }
        return DescriptorBuffer(
            address: descriptor.address, lengthBytes: descriptor.lengthBytes,
            isDeviceWritable: descriptor.isDeviceWritable)
    }

    @inline(__always)
    private mutating func fetch(_ memory: GuestMemory) throws(QueueError) -> Descriptor {
        if nextIndex >= tableLength { throw .descriptorIndex(UInt16(truncatingIfNeeded: nextIndex)) }
        if stepsLeft == 0 { throw .chainTooLong }
        stepsLeft &-= 1
        let place = GuestAddress(table.value &+ UInt64(nextIndex) &* Descriptor.sizeBytes)
        do throws(GuestMemoryError) { return try Descriptor(memory, at: place) } catch { throw .memory(error) }
    }

    /// Goes on in the table that a descriptor points to. Source: virtio 1.3 §2.7.5.3.
    private mutating func enterIndirectTable(_ descriptor: Descriptor) throws(QueueError) {
        let length = UInt64(descriptor.lengthBytes)
        guard mayBeIndirect, !isInIndirectTable, !descriptor.hasNext, length > 0, length % Descriptor.sizeBytes == 0,
            descriptor.address.advanced(by: length) != nil
        else { throw .invalidIndirectTable }
        isInIndirectTable = true
        table = descriptor.address
        tableLength = UInt32(truncatingIfNeeded: min(length / Descriptor.sizeBytes, 1 << 16))
        nextIndex = 0
        stepsLeft = min(tableLength, Self.maximumIndirectSteps)
    }
}
