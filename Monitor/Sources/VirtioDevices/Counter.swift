import Synchronization

/// A figure that its device's thread raises and any thread may read.
public struct Counter: ~Copyable, Sendable {
    private let atomic = Atomic<UInt64>(0)

    public init() {}

    public var value: UInt64 { atomic.load(ordering: .relaxed) }

    /// One writer only, so no locked operation is needed.
    @inline(__always)
    func add(_ amount: UInt64 = 1) {
        atomic.store(atomic.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }
}
