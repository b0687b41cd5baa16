import GuestMemory
import VirtioQueues

/// The receive buffers that the next frame may fill, gathered ahead and kept from one frame to the next.
struct NetReceiveWindow: ~Copyable {
    static let maximumChains = 64

    struct Entry {
        var head: UInt16 = 0
        var roomBytes: UInt32 = 0
    }

    private var entries: [Entry] = Array(repeating: Entry(), count: maximumChains)
    private var start = 0
    private(set) var count = 0
    /// All buffers one behind the other.
    var vectors = IOVectorList(capacity: 1024)

    init() {}

    var roomBytes: UInt64 { vectors.totalBytes }

    mutating func removeAll() {
        start = 0
        count = 0
        vectors.removeAll()
    }

    /// Gathers chains until they hold `target` bytes or are `chainLimit` many.
    /// - Returns: whether a frame may be read: there is room enough, or there cannot be more.
    @inline(__always)
    mutating func fill(
        from queue: inout SplitQueue, memory: GuestMemory, target: UInt64, chainLimit: Int
    ) throws(QueueError) -> Bool {
        while vectors.totalBytes < target && count < chainLimit {
            guard let chain = try queue.nextChain() else { return count > 0 && queue.inFlight == queue.size }
            let before = vectors.totalBytes
            do throws(QueueError) { try chain.gather(in: memory, appendingWritable: &vectors) } catch {
                guard case .memory(.tooManyVectors) = error, count > 0 else { throw error }
                // The list's end is reached: begin again at its start.
                queue.putBack(chains: UInt16(truncatingIfNeeded: count &+ 1))
                removeAll()
                continue
            }
            entries[(start &+ count) & (Self.maximumChains &- 1)] = Entry(
                head: chain.head, roomBytes: UInt32(truncatingIfNeeded: vectors.totalBytes &- before))
            count &+= 1
        }
        return true
    }

    /// Gives back the chains that a frame of `bytes` bytes, header included, has filled, the number of buffers noted in
    /// its header.
    @inline(__always)
    mutating func complete(_ bytes: Int, in queue: inout SplitQueue) {
        var left = UInt32(truncatingIfNeeded: bytes)
        var used = 0
        var roomBytes: UInt64 = 0
        while used < count {
            let entry = entries[(start &+ used) & (Self.maximumChains &- 1)]
            let part = min(left, entry.roomBytes)
            left &-= part
            roomBytes &+= UInt64(entry.roomBytes)
            used &+= 1
            queue.addUsed(head: entry.head, writtenBytes: part)
            if left == 0 { break }
        }
        // num_buffers. Source: virtio 1.3 §5.1.6.
        var number = UInt16(truncatingIfNeeded: used).littleEndian
        unsafe withUnsafeBytes(of: &number) { bytes in
            // SAFETY: two bytes, copied during the call. They are written before the chains are published.
            _ = unsafe vectors.copyIn(bytes, atByte: 10)
        }
        start = (start &+ used) & (Self.maximumChains &- 1)
        count &-= used
        vectors.removeFirst(bytes: roomBytes)
        if count == 0 { removeAll() }
    }
}
