import GuestMemory
import Snapshots

/// Since which snapshots all that changed is known.
struct ChangeRecord {
    /// Whether a full snapshot is to begin the record.
    var isTracking = false
    /// The snapshots that a differential one can be laid over, oldest first; none: nothing is known.
    private(set) var parents: [[UInt8]] = []
    /// Pages that are in the snapshots since the oldest parent, and may be as they were before by now: a guest gives pages
    /// back, and finds the oldest parent's there.
    private(set) var earlier = PageRuns()
    /// Whether the oldest parent has plugged memory, so that nothing is laid over it.
    private var hadPlugged = false

    init(isTracking: Bool) { self.isTracking = isTracking }

    /// For a machine that begins as a snapshot.
    /// - Parameter hadPlugged: whether memory was plugged in it.
    init(since identifier: [UInt8], hadPlugged: Bool = false) {
        parents = [identifier]
        self.hadPlugged = hadPlugged
    }

    /// Whether there is a snapshot of what the guest began with and nothing else.
    var isLayable: Bool { parents.count > (hadPlugged ? 1 : 0) }

    /// The record begins anew with a snapshot.
    mutating func begin(with identifier: [UInt8]) {
        parents = [identifier]
        hadPlugged = false
        earlier = PageRuns()
    }

    /// One more snapshot, while the kernel's record goes on.
    mutating func add(_ identifier: [UInt8], _ pages: PageRuns) {
        parents.append(identifier)
        if parents.count > DifferentialImage.maximumParents { parents.remove(at: 1) }
        earlier = pages
    }

    /// A snapshot did not come to be, though the record has it.
    mutating func remove(_ identifier: [UInt8]) { parents.removeAll { $0 == identifier } }
}
