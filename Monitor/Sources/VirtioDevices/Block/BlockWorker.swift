import GuestMemory
import LinuxCalls
import VirtioQueues

/// An activated block device: its queue, and the requests at work. Lives from activation to reset on the device's thread.
///
/// All memory is taken here, at activation; a request takes none.
struct BlockWorker: ~Copyable {
    /// Requests at work at once; one bit each in `freeSlots`.
    static let slotCount = 64
    /// Rounds of one turn, each of up to `slotCount` requests; then the thread looks at its other events.
    static let roundsPerTurn = 16

    var queue: SplitQueue
    let memory: GuestMemory
    let metrics: BlockMetrics
    let limiter: RateLimiter
    let whenHostFails: (LinuxError, Int, UInt64) -> Void
    /// For writes: RWF_DSYNC when the driver does not know how to flush.
    let writeFlags: UInt32
    /// Whether writes are worth the ring: not those into the page cache, which are a copy.
    let sendsWritesToRing: Bool
    /// The driver has accepted them.
    let acceptedFeatures: UInt64
    let serial: InlineArray<20, UInt8>

    var readable = IOVectorList(capacity: 256)
    var writable = IOVectorList(capacity: 256)
    /// Nil: synchronous.
    var ring: IORing?
    var arena = IOVectorArena(capacity: 1024)
    var slots: InlineArray<64, BlockRequest?> = InlineArray(repeating: nil)
    var freeSlots = UInt64.max

    init(
        _ activation: borrowing DeviceActivation, queue: consuming SplitQueue, backend: borrowing BlockBackend,
        engine: BlockEngine, ring: consuming IORing?, serial: InlineArray<20, UInt8>, metrics: BlockMetrics,
        limiter: RateLimiter, whenHostFails: @escaping (LinuxError, Int, UInt64) -> Void
    ) {
        self.whenHostFails = whenHostFails
        self.queue = queue
        self.ring = ring
        self.serial = serial
        self.metrics = metrics
        self.limiter = limiter
        memory = activation.memory
        acceptedFeatures = activation.acceptedFeatures
        // Source: virtio 1.3 §5.2.6.2: without VIRTIO_BLK_F_FLUSH a write that is answered is on the disk.
        let isThrough = backend.cache == .writeback && activation.acceptedFeatures & BlockFeatures.flush == 0
        writeFlags = isThrough ? BlockBackend.throughToDisk : 0
        sendsWritesToRing = isThrough || engine == .asynchronous
    }

    /// Gives the ring away, once nothing is on its way in it.
    mutating func takeRing() -> IORing? {
        var ring: IORing?
        swap(&ring, &self.ring)
        return ring
    }

    /// The ring's descriptor, to be watched.
    var ringDescriptor: Int32? {
        switch ring {
        case .some(let ring): ring.descriptor.number
        case .none: nil
        }
    }

    /// One turn: takes what is finished, starts what is available.
    ///
    /// - Returns: whether there is more to do at once, and the turn ended only to let other events be seen.
    /// - Throws: when the driver broke the queue; nothing further must be started then.
    mutating func serve(
        _ backend: borrowing BlockBackend, interrupt: InterruptLine
    ) throws(QueueError) -> Bool {
        queue.disableAvailableBufferNotifications()
        for _ in 0..<Self.roundsPerTurn {
            takeCompletions(backend)
            let hasStartedAny: Bool
            do throws(QueueError) {
                hasStartedAny = try startAvailable(backend)
            } catch {
                publish(interrupt)
                throw error
            }
            submit()
            takeCompletions(backend)
            publish(interrupt)
            // What the kernel could not take is offered again at once: nothing else would bring us back here.
            if hasUnsubmitted { return true }
            // With all slots taken the next completion brings us back here.
            if freeSlots == 0 { return false }
            // Nor before the limiter's timer.
            if limiter.isWaiting { return false }
            if hasStartedAny { continue }
            if try !queue.enableAvailableBufferNotifications() { return false }
        }
        return true
    }

    @inline(__always)
    mutating func publish(_ interrupt: InterruptLine) {
        if queue.publishUsed() {
            metrics.interrupts.add()
            interrupt.signalUsedBuffers()
        }
    }

    private var hasUnsubmitted: Bool {
        switch ring {
        case .some(let ring): ring.unsubmitted > 0
        case .none: false
        }
    }

    /// Starts available requests, at most as many as there are slots.
    private mutating func startAvailable(_ backend: borrowing BlockBackend) throws(QueueError) -> Bool {
        var started = 0
        while started < Self.slotCount, freeSlots != 0, limiter.isOpen, let chain = try queue.nextChain() {
            try start(chain, backend)
            started &+= 1
        }
        return started > 0
    }

    /// Waits until nothing is at work; guest memory is not touched after this.
    mutating func drain(_ backend: borrowing BlockBackend) {
        while freeSlots != .max {
            do throws(LinuxError) {
                try ring?.submit(minimumCompletions: 1)
            } catch {
                sleep(nanoseconds: 1_000_000)
            }
            takeCompletions(backend)
        }
        arena.removeAll()
    }

    /// Answers a request: its status byte, its place in the used ring.
    @inline(__always)
    mutating func answer(_ head: UInt16, _ statusAddress: GuestAddress, _ status: BlockStatus, dataBytes: UInt64 = 0) {
        // The status lies in a buffer that was checked; should it fail nonetheless, only the guest suffers.
        try? memory.store(status.rawValue, at: statusAddress)
        queue.addUsed(head: head, writtenBytes: UInt32(truncatingIfNeeded: min(dataBytes &+ 1, UInt64(UInt32.max))))
    }
}
