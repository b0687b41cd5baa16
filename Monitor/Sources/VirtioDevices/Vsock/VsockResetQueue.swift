/// One reset that is owed to the guest: which packet it answers.
struct VsockReset: Sendable {
    var hostCID: UInt64 = 0
    var hostPort: UInt32 = 0
    var guestPort: UInt32 = 0
    var type: UInt16 = 0
}

/// Resets that wait for room in the guest's receive queue; a fixed number.
struct VsockResetQueue: ~Copyable {
    private var entries: [VsockReset] = Array(repeating: VsockReset(), count: 64)
    private var start = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }
    var isFull: Bool { count == entries.count }

    /// - Returns: false when there is no room.
    mutating func append(_ reset: VsockReset) -> Bool {
        if isFull { return false }
        entries[(start + count) & 63] = reset
        count += 1
        return true
    }

    /// The one that waits longest; only while not empty.
    var first: VsockReset { entries[start] }

    mutating func removeFirst() {
        guard count > 0 else { return }
        start = (start + 1) & 63
        count -= 1
    }

    mutating func removeAll() {
        start = 0
        count = 0
    }
}
