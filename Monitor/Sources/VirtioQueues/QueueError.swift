public import GuestMemory

/// What a driver did wrong with a queue. A guest fault: counted, and the device asks to be reset.
public enum QueueError: Error, Equatable, Sendable {
    /// Zero, not a power of two, or above the device's maximum.
    case invalidSize(UInt16)
    /// A ring or the table is not aligned as the standard says.
    case misalignedRing(GuestAddress)
    /// A ring, the table or a buffer lies outside guest memory.
    case memory(GuestMemoryError)
    /// The available index ran further ahead than the queue is long.
    case availableIndexTooFar(UInt16)
    /// A head or a next field points outside the table.
    case descriptorIndex(UInt16)
    /// A chain is longer than its table, so it loops.
    case chainTooLong
    /// An indirect table is empty, of a broken length, nested, or was not negotiated.
    case invalidIndirectTable
    /// A device-readable buffer comes after a device-writable one.
    case readableAfterWritable
    /// A chain holds more than 2^32 bytes.
    case tooManyBytes
    /// A buffer is to be written where this queue's buffers are read, or the other way round.
    case unexpectedDirection
    /// A queue that the device cannot serve without was not made ready.
    case queueNotReady
}
