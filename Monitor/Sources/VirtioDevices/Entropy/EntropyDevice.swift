public import LinuxCalls
import VirtioQueues

/// A virtio source of entropy: each buffer of the driver is filled from the host kernel's generator.
/// Source: virtio 1.3 §5.4.
public final class EntropyDevice: VirtioDevice, EventHandler, @unchecked Sendable {
    private static let queueSize: UInt16 = 64
    private static let doorbellToken: UInt32 = 0
    private static let limiterToken: UInt32 = 1

    public let loop: EventLoop
    public let metrics = EntropyMetrics()
    /// Of the loop's thread.
    public let limiter: RateLimiter

    // Of the loop's thread.
    private var worker: EntropyWorker?
    private var interrupt: InterruptLine?
    private var doorbell: Doorbell?
    private var registration: EventRegistration?

    public init(loop: EventLoop) {
        self.loop = loop
        limiter = RateLimiter(loop: loop)
    }

    /// Changes how fast the guest gets its bytes. On the loop's thread, or before that runs.
    public func setLimits(
        _ change: (RateLimiter, any EventHandler, UInt32) throws(LinuxError) -> Void
    ) throws(LinuxError) {
        try change(limiter, self, Self.limiterToken)
    }

    public var kind: VirtioDeviceKind { .entropy }
    public var maximumQueueSizes: [UInt16] { [Self.queueSize] }
    public var offeredFeatures: UInt64 { QueueFeatures.all }

    /// There is no configuration space.
    public func readConfiguration(offset: UInt32, width: UInt32) -> UInt32 { 0 }
    public func writeConfiguration(offset: UInt32, width: UInt32, value: UInt32) {}

    public func activate(_ activation: DeviceActivation) throws(QueueError) {
        reset()
        guard let driverQueue = activation.queues.first ?? nil else { throw .queueNotReady }
        let queue = try SplitQueue(
            validating: driverQueue.layout, memory: activation.memory, maximumSize: Self.queueSize,
            acceptedFeatures: activation.acceptedFeatures, position: driverQueue.position)
        worker = EntropyWorker(queue: queue, metrics: metrics, limiter: limiter)
        interrupt = activation.interrupt
        doorbell = driverQueue.doorbell
        do throws(LinuxError) {
            registration = try loop.add(
                driverQueue.doorbell.event.descriptor.number, [.readable, .edgeTriggered], handler: self,
                token: Self.doorbellToken)
        } catch {
            metrics.hostErrors.add()
            throw .queueNotReady
        }
        serve()
    }

    public func reset() {
        if let doorbell, let registration { loop.remove(registration, doorbell.event.descriptor.number) }
        registration = nil
        doorbell = nil
        interrupt = nil
        worker = nil
    }

    /// Each request is answered in the turn that takes it.
    public func settle() {}

    public var queuePositions: [QueuePosition?] { [worker?.queue.position] }
    public var ownState: [UInt64]? { [] }
    public func restore(ownState: [UInt64]) throws(DeviceStateError) {
        if !ownState.isEmpty { throw .malformed }
    }

    public func handleEvent(token: UInt32, readiness: Readiness) {
        if token == Self.limiterToken { limiter.rewind() }
        serve()
    }

    private func serve() {
        guard let interrupt else { return }
        do throws(QueueError) {
            if try worker?.serve(interrupt: interrupt) == true { doorbell?.event.signal() }
        } catch {
            metrics.queueFaults.add()
            reset()
            interrupt.signalNeedsReset()
        }
    }
}
