import GuestMemory
import LinuxCalls
import VirtioQueues

/// An activated entropy device. Lives from activation to reset on the device's thread.
struct EntropyWorker: ~Copyable {
    /// Most bytes of one request; a driver that asks for more gets so many.
    static let maximumRequestBytes: UInt64 = 64 << 10
    /// Requests of one turn; then the thread looks at its other devices.
    static let requestsPerTurn = 32

    var queue: SplitQueue
    let metrics: EntropyMetrics
    let limiter: RateLimiter
    private var writable = IOVectorList(capacity: 64)

    init(queue: consuming SplitQueue, metrics: EntropyMetrics, limiter: RateLimiter) {
        self.queue = queue
        self.metrics = metrics
        self.limiter = limiter
    }

    /// Serves what is available; returns whether more is left for another turn.
    mutating func serve(interrupt: InterruptLine) throws(QueueError) -> Bool {
        defer { if queue.publishUsed() { interrupt.signalUsedBuffers() } }
        var left = Self.requestsPerTurn
        queue.disableAvailableBufferNotifications()
        repeat {
            while limiter.isOpen, let chain = try queue.nextChain() {
                try fill(chain)
                left &-= 1
                if left == 0 { return true }
            }
            // The limiter's timer brings us back here.
            if limiter.isWaiting { return false }
        } while try queue.enableAvailableBufferNotifications()
        return false
    }

    private mutating func fill(_ chain: DescriptorChain) throws(QueueError) {
        let head = chain.head
        writable.removeAll()
        try chain.gather(in: queue.memory, appendingWritable: &writable)
        writable.truncate(toBytes: Self.maximumRequestBytes)
        limiter.spend(bytes: writable.totalBytes)
        do throws(LinuxError) {
            try writable.fillWithRandomBytes()
            metrics.requests.add()
            metrics.bytes.add(writable.totalBytes)
            queue.addUsed(head: head, writtenBytes: UInt32(truncatingIfNeeded: writable.totalBytes))
        } catch {
            metrics.hostErrors.add()
            queue.addUsed(head: head, writtenBytes: 0)
        }
    }
}
