public import LinuxCalls
import Synchronization
import VirtioQueues

/// A virtio disk over a file or block device of the host.
///
/// It has a thread of its own (its `loop`), so a slow disk holds up no other device. Source: virtio 1.3 §5.2.
public final class BlockDevice: VirtioDevice, EventHandler, @unchecked Sendable {
    private static let queueSize: UInt16 = 256
    private static let doorbellToken: UInt32 = 0
    private static let ringToken: UInt32 = 1
    private static let limiterToken: UInt32 = 2

    public let loop: EventLoop
    public let metrics = BlockMetrics()

    /// Called on the device's thread at the first error of the host: with it, which of the files, and where on the disk the
    /// request begins. Set before the driver can activate the device.
    public var whenHostFails: (LinuxError, Int, UInt64) -> Void = { _, _, _ in }

    /// How fast the guest may read and write. Of the loop's thread.
    public let limiter: RateLimiter

    // Of the loop's thread.
    private var backend: BlockBackend
    private let engine: BlockEngine
    private let serial: InlineArray<20, UInt8>
    private let isReadOnly: Bool
    private let cache: BlockCache
    private let capacitySectors: Atomic<UInt64>

    // Of the loop's thread.
    private var worker: BlockWorker?
    /// While no worker has it. Made with the device: the thread that serves it may make none, see `Jail`.
    private var spareRing: IORing?
    private var interrupt: InterruptLine?
    private var doorbell: Doorbell?
    private var doorbellRegistration: EventRegistration?
    private var ringRegistration: EventRegistration?

    /// - Parameters:
    ///   - serial: what the guest reads as the disk's serial number; its first 20 bytes count.
    ///   - loop: of a thread that serves this device alone.
    public init(
        _ backend: consuming BlockBackend, serial: String, engine: BlockEngine = .automatic, loop: EventLoop
    ) {
        var bytes = InlineArray<20, UInt8>(repeating: 0)
        var count = 0
        for byte in serial.utf8 where count < 20 {
            bytes[count] = byte
            count += 1
        }
        self.serial = bytes
        capacitySectors = Atomic(backend.capacitySectors)
        isReadOnly = backend.isReadOnly
        cache = backend.cache
        limiter = RateLimiter(loop: loop)
        self.backend = backend
        self.engine = engine
        self.loop = loop
        if engine != .synchronous { spareRing = try? IORing(entries: UInt32(BlockWorker.slotCount)) }
    }

    public var kind: VirtioDeviceKind { .block }
    public var maximumQueueSizes: [UInt16] { [Self.queueSize] }

    public var offeredFeatures: UInt64 {
        var features =
            QueueFeatures.all | BlockFeatures.maximumSegments | BlockFeatures.blockSize | BlockFeatures.topology
        if isReadOnly { return features | BlockFeatures.readOnly }
        features |= BlockFeatures.discard | BlockFeatures.writeZeroes
        return cache == .writeback ? features | BlockFeatures.flush : features
    }

    public func readConfiguration(offset: UInt32, width: UInt32) -> UInt32 {
        BlockConfigurationSpace(capacitySectors: capacitySectors.load(ordering: .acquiring))
            .read(offset: offset, width: width)
    }

    public func writeConfiguration(offset: UInt32, width: UInt32, value: UInt32) {}

    // MARK: The host's side

    /// Puts another file, or the same one anew, in the place of the one so far: what is at work is finished first, and the
    /// guest is told to look at the disk's size again. Any thread.
    ///
    /// - Parameter new: as read-only, and as durable, as the one so far.
    public func replace(_ new: consuming BlockBackend) {
        precondition(new.isReadOnly == isReadOnly && new.cache == cache, "the guest has been promised otherwise")
        let successor = Successor(new)
        loop.perform { [self] in
            guard let new = successor.backend.take() else { return }
            worker?.drain(backend)
            capacitySectors.store(new.capacitySectors, ordering: .releasing)
            backend = new
            metrics.replacements.add()
            interrupt?.signalConfigurationChange()
        }
    }

    /// Takes a backend to the device's thread.
    private final class Successor {
        var backend: BlockBackend?
        init(_ backend: consuming BlockBackend) { self.backend = consume backend }
    }

    /// Changes how fast the guest may read and write. On the loop's thread, or before that runs.
    public func setLimits(
        _ change: (RateLimiter, any EventHandler, UInt32) throws(LinuxError) -> Void
    ) throws(LinuxError) {
        try change(limiter, self, Self.limiterToken)
    }

    public func activate(_ activation: DeviceActivation) throws(QueueError) {
        reset()
        guard let driverQueue = activation.queues.first ?? nil else { throw .queueNotReady }
        let queue = try SplitQueue(
            validating: driverQueue.layout, memory: activation.memory, maximumSize: Self.queueSize,
            acceptedFeatures: activation.acceptedFeatures, position: driverQueue.position)
        worker = BlockWorker(
            activation, queue: queue, backend: backend, engine: engine, ring: takeSpareRing(), serial: serial,
            metrics: metrics, limiter: limiter, whenHostFails: whenHostFails)
        interrupt = activation.interrupt
        doorbell = driverQueue.doorbell
        do throws(LinuxError) {
            // Edge-triggered: each ring of the bell wakes us once, without reading it.
            doorbellRegistration = try loop.add(
                driverQueue.doorbell.event.descriptor.number, [.readable, .edgeTriggered], handler: self,
                token: Self.doorbellToken)
            if let descriptor = worker?.ringDescriptor {
                ringRegistration = try loop.add(descriptor, .readable, handler: self, token: Self.ringToken)
            }
        } catch {
            metrics.hostErrors.add()
            throw .queueNotReady
        }
        // The driver may have made buffers available before.
        serve()
    }

    private func takeSpareRing() -> IORing? {
        var ring: IORing?
        swap(&ring, &spareRing)
        return ring
    }

    public func reset() {
        worker?.drain(backend)
        if let doorbell, let registration = doorbellRegistration {
            loop.remove(registration, doorbell.event.descriptor.number)
        }
        if let descriptor = worker?.ringDescriptor, let registration = ringRegistration {
            loop.remove(registration, descriptor)
        }
        doorbellRegistration = nil
        ringRegistration = nil
        doorbell = nil
        interrupt = nil
        if worker != nil { spareRing = worker?.takeRing() }
        worker = nil
    }

    /// Its loop has nothing more of it. On the loop's thread, after `reset`.
    public func letGo() { limiter.letGo() }

    public func settle() {
        worker?.drain(backend)
        guard let interrupt else { return }
        worker?.publish(interrupt)
    }

    public var queuePositions: [QueuePosition?] { [worker?.queue.position] }

    /// The capacity in sectors.
    public var ownState: [UInt64]? { [backend.capacitySectors] }

    public func restore(ownState: [UInt64]) throws(DeviceStateError) {
        guard ownState.count == 1 else { throw .malformed }
        guard ownState[0] == backend.capacitySectors else {
            throw .capacity(saved: ownState[0], now: backend.capacitySectors)
        }
    }

    public func handleEvent(token: UInt32, readiness: Readiness) {
        metrics.wakeUps.add()
        if token == Self.limiterToken { limiter.rewind() }
        serve()
    }

    private func serve() {
        guard let interrupt else { return }
        do throws(QueueError) {
            if try worker?.serve(backend, interrupt: interrupt) == true { doorbell?.event.signal() }
        } catch {
            // The driver broke its queue: nothing more until it resets the device.
            metrics.queueFaults.add()
            reset()
            interrupt.signalNeedsReset()
        }
    }
}
