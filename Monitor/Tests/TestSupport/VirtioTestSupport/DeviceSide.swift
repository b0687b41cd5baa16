public import VirtioQueues

/// A `SplitQueue` behind a reference, so that expectations can call it.
public final class DeviceSide {
    public var queue: SplitQueue

    public init(_ queue: consuming SplitQueue) { self.queue = queue }

    public convenience init(_ driver: MockDriver, position: QueuePosition = QueuePosition()) throws(QueueError) {
        self.init(try driver.makeQueue(position: position))
    }

    public func nextChain() throws(QueueError) -> DescriptorChain? { try queue.nextChain() }
    public func putBack(chains: UInt16) { queue.putBack(chains: chains) }
    public func addUsed(head: UInt16, writtenBytes: UInt32) { queue.addUsed(head: head, writtenBytes: writtenBytes) }
    public func publishUsed() -> Bool { queue.publishUsed() }
    public func disableNotifications() { queue.disableAvailableBufferNotifications() }
    public func enableNotifications() throws(QueueError) -> Bool { try queue.enableAvailableBufferNotifications() }
    public var inFlight: UInt16 { queue.inFlight }
    public var position: QueuePosition { queue.position }
}
