public import GuestMemory
public import LinuxCalls
import VirtioQueues

/// A file whose pages are the guest's memory: it reads and writes them itself, and asks here only that what it has written
/// reaches the disk. Source: virtio 1.3 §5.19.
public final class PersistentMemoryDevice: VirtioDevice, EventHandler, @unchecked Sendable {
    private static let queueSize: UInt16 = 64
    private static let doorbellToken: UInt32 = 0
    private static let limiterToken: UInt32 = 1
    /// Requests of one turn; then the thread looks whether it is to end.
    private static let requestsPerTurn = 8

    private struct Service: ~Copyable {
        let memory: GuestMemory
        let interrupt: InterruptLine
        let doorbell: Doorbell
        var queue: SplitQueue
        var registration: EventRegistration?
    }

    public let loop: EventLoop
    public let metrics = PersistentMemoryMetrics()
    /// Of the loop's thread.
    public let limiter: RateLimiter
    private let attachment: MemoryAttachment
    private let file: FileDescriptor

    // Of the loop's thread.
    private var service: Service?
    private var readable = IOVectorList(capacity: 16)
    private var writable = IOVectorList(capacity: 16)

    /// - Parameter file: the one whose pages the attachment has.
    public init(_ file: consuming FileDescriptor, _ attachment: MemoryAttachment, loop: EventLoop) {
        self.file = file
        self.attachment = attachment
        self.loop = loop
        limiter = RateLimiter(loop: loop)
    }

    /// Changes how often the guest may have its file flushed. On the loop's thread, or before that runs.
    public func setLimits(
        _ change: (RateLimiter, any EventHandler, UInt32) throws(LinuxError) -> Void
    ) throws(LinuxError) {
        try change(limiter, self, Self.limiterToken)
    }

    public var kind: VirtioDeviceKind { .persistentMemory }
    public var maximumQueueSizes: [UInt16] { [Self.queueSize] }
    public var offeredFeatures: UInt64 { QueueFeatures.all }

    /// start, size (8 bytes each). Source: virtio 1.3 §5.19.4.
    public func readConfiguration(offset: UInt32, width: UInt32) -> UInt32 {
        var answer = ConfigurationAnswer(offset: offset, width: width)
        answer.place(attachment.start.value, at: 0, width: 8)
        answer.place(attachment.lengthBytes, at: 8, width: 8)
        return answer.value
    }

    public func writeConfiguration(offset: UInt32, width: UInt32, value: UInt32) {}

    public func activate(_ activation: DeviceActivation) throws(QueueError) {
        reset()
        guard let driverQueue = activation.queues.first ?? nil else { throw .queueNotReady }
        let queue = try SplitQueue(
            validating: driverQueue.layout, memory: activation.memory, maximumSize: Self.queueSize,
            acceptedFeatures: activation.acceptedFeatures, position: driverQueue.position)
        service = Service(
            memory: activation.memory, interrupt: activation.interrupt, doorbell: driverQueue.doorbell, queue: queue)
        do throws(LinuxError) {
            service?.registration = try loop.add(
                driverQueue.doorbell.event.descriptor.number, [.readable, .edgeTriggered], handler: self,
                token: Self.doorbellToken)
        } catch {
            metrics.hostErrors.add()
            throw .queueNotReady
        }
        handleEvent(token: Self.doorbellToken, readiness: .readable)
    }

    public func reset() {
        guard let service = service.take() else { return }
        if let registration = service.registration {
            loop.remove(registration, service.doorbell.event.descriptor.number)
        }
    }

    /// Each request is answered in the turn that takes it.
    public func settle() {}

    public var queuePositions: [QueuePosition?] { [service?.queue.position] }

    /// Where the file's pages lie and how many there are. What is in them is the file's to keep, as with a disk.
    public var ownState: [UInt64]? { [attachment.start.value, attachment.lengthBytes] }

    public func restore(ownState: [UInt64]) throws(DeviceStateError) {
        guard ownState.count == 2, ownState[0] == attachment.start.value else { throw .malformed }
        guard ownState[1] == attachment.lengthBytes else {
            throw .capacity(saved: ownState[1] / 512, now: attachment.lengthBytes / 512)
        }
    }

    public func handleEvent(token: UInt32, readiness: Readiness) {
        if token == Self.limiterToken { limiter.rewind() }
        guard let interrupt = service?.interrupt else { return }
        do throws(QueueError) {
            if try serve() { service?.doorbell.event.signal() }
            if service?.queue.publishUsed() == true { interrupt.signalUsedBuffers() }
        } catch {
            metrics.queueFaults.add()
            reset()
            interrupt.signalNeedsReset()
        }
    }

    /// Answers what is available; returns whether more is left for another turn.
    private func serve() throws(QueueError) -> Bool {
        guard let memory = service?.memory else { return false }
        var left = Self.requestsPerTurn
        service?.queue.disableAvailableBufferNotifications()
        repeat {
            while limiter.isOpen, let chain = try service?.queue.nextChain() {
                let head = chain.head
                try chain.gather(in: memory, readable: &readable, writable: &writable)
                limiter.spend(bytes: 0)
                var answer: UInt32 = 1
                // VIRTIO_PMEM_REQ_TYPE_FLUSH is 0, and there is no other.
                if readable.takeFirst(UInt32.self) == 0, writable.totalBytes >= 4 {
                    answer = flush()
                } else {
                    metrics.badRequests.add()
                }
                // SAFETY: the answer's own bytes.
                let written = unsafe withUnsafeBytes(of: answer.littleEndian) { unsafe writable.copyIn($0) }
                service?.queue.addUsed(head: head, writtenBytes: UInt32(written))
                left &-= 1
                if left == 0 { return true }
            }
            if limiter.isWaiting { return false }
        } while try service?.queue.enableAvailableBufferNotifications() == true
        return false
    }

    /// Zero, or the standard's word for a failure.
    private func flush() -> UInt32 {
        metrics.flushes.add()
        if attachment.isReadOnly { return 0 }
        do throws(LinuxError) { try file.synchronizeData() } catch {
            metrics.hostErrors.add()
            return 1
        }
        return 0
    }
}
