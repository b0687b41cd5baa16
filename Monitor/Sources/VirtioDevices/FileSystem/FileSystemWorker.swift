import GuestMemory
import LinuxCalls
import SharedFolders
import VirtioQueues

/// One queue of an activated file system device. Lives from activation to reset on the device's thread.
struct FileSystemWorker: ~Copyable {
    /// Requests of one turn; then the thread looks at its other queue.
    static let requestsPerTurn = 64
    /// A request of 1 MiB in pages, and its headers.
    static let vectorCapacity = 288

    var queue: SplitQueue
    let metrics: FileSystemMetrics
    private var readable = IOVectorList(capacity: vectorCapacity)
    private var writable = IOVectorList(capacity: vectorCapacity)

    init(queue: consuming SplitQueue, metrics: FileSystemMetrics) {
        self.queue = queue
        self.metrics = metrics
    }

    /// Serves what is available; returns whether more is left for another turn.
    mutating func serve(_ folder: FolderService, interrupt: InterruptLine) throws(QueueError) -> Bool {
        defer { publish(interrupt) }
        var left = Self.requestsPerTurn
        queue.disableAvailableBufferNotifications()
        repeat {
            while let chain = try queue.nextChain() {
                let head = chain.head
                try chain.gather(in: queue.memory, readable: &readable, writable: &writable)
                let written = folder.serve(&readable, &writable, now: Clock.monotonic.nanoseconds())
                metrics.requests.add()
                queue.addUsed(head: head, writtenBytes: written)
                left &-= 1
                if left == 0 { return true }
            }
            // The answers are seen before the last look, so that a driver with one request at a time goes on meanwhile.
            publish(interrupt)
        } while try queue.enableAvailableBufferNotifications()
        return false
    }

    @inline(__always)
    private mutating func publish(_ interrupt: InterruptLine) {
        if queue.publishUsed() { interrupt.signalUsedBuffers() }
    }
}

/// The workers of both queues.
struct FileSystemWorkers: ~Copyable {
    private var urgent: FileSystemWorker?
    private var ordinary: FileSystemWorker?

    init() {}

    mutating func put(_ worker: consuming FileSystemWorker, at index: Int) {
        if index == 0 { urgent = consume worker } else { ordinary = consume worker }
    }

    mutating func position(_ index: Int) -> QueuePosition? {
        index == 0 ? urgent?.queue.position : ordinary?.queue.position
    }

    mutating func serve(
        _ index: Int, _ folder: FolderService, interrupt: InterruptLine
    ) throws(QueueError) -> Bool {
        if index == 0 { return try urgent?.serve(folder, interrupt: interrupt) ?? false }
        return try ordinary?.serve(folder, interrupt: interrupt) ?? false
    }
}
