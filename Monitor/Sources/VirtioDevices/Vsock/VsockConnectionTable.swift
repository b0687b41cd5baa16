import LinuxCalls

/// All connections of a device: by place, by their ports, and in the line of those with something for the guest.
///
/// Every operation touches a few fields; a bucket's chain is walked at most as far as there are connections.
struct VsockConnectionTable: ~Copyable {
    static let maximumCount = 1023
    private static let bucketCount = 256

    private var slots: SlotTable<VsockConnection>
    private var buckets: [Int32]
    /// Mixed into the bucket's number, so that a guest cannot choose ports that share one.
    private let seed: UInt32
    private var firstReady: Int32 = -1
    private var lastReady: Int32 = -1

    init(seed: UInt32) {
        self.seed = seed
        slots = SlotTable(capacity: Self.maximumCount)
        buckets = Array(repeating: -1, count: Self.bucketCount)
    }

    var count: Int { slots.count }
    var endIndex: Int { slots.endIndex }
    @inline(__always) func contains(_ index: Int) -> Bool { slots.contains(index) }

    @inline(__always)
    subscript(index: Int) -> VsockConnection {
        _read { yield slots[index] }
        _modify { yield &slots[index] }
    }

    /// The room to promise to one more connection: plenty for the first ones, little for those of a crowd, so that all
    /// together stay below 12 MiB even if no host program reads.
    var nextBufferBytes: Int { count < 16 ? 256 << 10 : count < 64 ? 64 << 10 : 4 << 10 }

    /// Whether there is a place for one more.
    var hasRoom: Bool { slots.count < slots.capacity }

    /// Puts a connection in; nil, and the connection is closed, when there is no place.
    mutating func insert(_ connection: consuming VsockConnection) -> Int? {
        guard let index = slots.freeIndex else { return nil }
        slots.insert(connection, at: index)
        return index
    }

    /// Makes a connection known by its ports.
    mutating func link(_ index: Int) {
        let bucket = bucket(slots[index].hostPort, slots[index].guestPort)
        slots[index].nextInBucket = buckets[bucket]
        buckets[bucket] = Int32(truncatingIfNeeded: index)
    }

    /// Makes a connection unknown by its ports.
    mutating func unlink(_ index: Int) {
        let bucket = bucket(slots[index].hostPort, slots[index].guestPort)
        let wanted = Int32(truncatingIfNeeded: index)
        let next = slots[index].nextInBucket
        if buckets[bucket] == wanted {
            buckets[bucket] = next
        } else {
            var current = buckets[bucket]
            while current >= 0 {
                let following = slots[Int(current)].nextInBucket
                if following == wanted {
                    slots[Int(current)].nextInBucket = next
                    break
                }
                current = following
            }
        }
        slots[index].nextInBucket = -1
    }

    /// The connection between two ports.
    @inline(__always)
    func find(hostPort: UInt32, guestPort: UInt32) -> Int? {
        var current = buckets[bucket(hostPort, guestPort)]
        while current >= 0 {
            let index = Int(current)
            if slots[index].hostPort == hostPort && slots[index].guestPort == guestPort { return index }
            current = slots[index].nextInBucket
        }
        return nil
    }

    /// Takes a connection out of every list and gives it to the caller.
    mutating func remove(_ index: Int) -> VsockConnection {
        if slots[index].isReady { leaveLine(index) }
        unlink(index)
        return slots.remove(at: index)
    }

    /// Puts a connection at the end of the line, unless it stands there already or has nothing for the guest.
    @inline(__always)
    mutating func makeReady(_ index: Int) {
        if slots[index].isReady || !slots[index].hasWork { return }
        slots[index].isReady = true
        slots[index].nextReady = -1
        if lastReady >= 0 {
            slots[Int(lastReady)].nextReady = Int32(truncatingIfNeeded: index)
        } else {
            firstReady = Int32(truncatingIfNeeded: index)
        }
        lastReady = Int32(truncatingIfNeeded: index)
    }

    /// The connection whose turn it is.
    @inline(__always)
    var ready: Int? { firstReady >= 0 ? Int(firstReady) : nil }

    /// The turn of the first in line is over; it goes to the end if there is more to do.
    @inline(__always)
    mutating func endTurn() {
        guard firstReady >= 0 else { return }
        let index = Int(firstReady)
        firstReady = slots[index].nextReady
        if firstReady < 0 { lastReady = -1 }
        slots[index].isReady = false
        makeReady(index)
    }

    private mutating func leaveLine(_ index: Int) {
        let wanted = Int32(truncatingIfNeeded: index)
        var previous: Int32 = -1
        var current = firstReady
        while current >= 0 && current != wanted {
            previous = current
            current = slots[Int(current)].nextReady
        }
        guard current == wanted else { return }
        let next = slots[index].nextReady
        if previous >= 0 { slots[Int(previous)].nextReady = next } else { firstReady = next }
        if lastReady == wanted { lastReady = previous }
        slots[index].isReady = false
    }

    @inline(__always)
    private func bucket(_ hostPort: UInt32, _ guestPort: UInt32) -> Int {
        let mixed = ((hostPort ^ seed) &* 0x9e37_79b1 ^ guestPort) &* 0x85eb_ca6b
        return Int(truncatingIfNeeded: mixed >> 24)
    }
}
