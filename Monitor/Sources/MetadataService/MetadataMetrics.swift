import Synchronization

/// What the service has done; the loop's thread counts, and any thread may read.
public final class MetadataMetrics: Sendable {
    let receivedFrames = Atomic<UInt64>(0)
    /// Neither a question for the address nor a whole segment of TCP.
    let strangeFrames = Atomic<UInt64>(0)
    let malformedFrames = Atomic<UInt64>(0)
    let sentFrames = Atomic<UInt64>(0)
    let sentBytes = Atomic<UInt64>(0)
    let openedConnections = Atomic<UInt64>(0)
    let closedConnections = Atomic<UInt64>(0)

    /// By Firecracker's names.
    public func count(_ name: String) -> UInt64 {
        switch name {
        case "rx_accepted", "rx_count": receivedFrames.load(ordering: .relaxed)
        case "rx_accepted_err": malformedFrames.load(ordering: .relaxed)
        case "rx_accepted_unusual": strangeFrames.load(ordering: .relaxed)
        case "tx_bytes": sentBytes.load(ordering: .relaxed)
        case "tx_count", "tx_frames": sentFrames.load(ordering: .relaxed)
        case "connections_created": openedConnections.load(ordering: .relaxed)
        case "connections_destroyed": closedConnections.load(ordering: .relaxed)
        default: 0
        }
    }
}

extension Atomic<UInt64> {
    /// One writer only, so no locked operation is needed.
    func add(_ amount: UInt64 = 1) { store(load(ordering: .relaxed) &+ amount, ordering: .relaxed) }
}
