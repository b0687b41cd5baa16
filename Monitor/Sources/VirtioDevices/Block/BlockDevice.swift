public import LinuxCalls
import VirtioQueues

/// A virtio disk over a file or block device of the host.
///
/// It has a thread of its own (its `loop`), so a slow disk holds up no other device. Source: virtio 1.3 §5.2.
public final class BlockDevice: VirtioDevice, EventHandler, @unchecked Sendable {
    private static let queueSize: UInt16 = 256
    private static let doorbellToken: UInt32 = 0
    private static let ringToken: UInt32 = 1

    public let loop: EventLoop
    public let metrics = BlockMetrics()

    /// Called on the device's thread at the first error of the host: with it, which of the files, and where on the disk the
    /// request begins. Set before the driver can activate the device.
    public var whenHostFails: (LinuxError, Int, UInt64) -> Void = { _, _, _ in }

    private let backend: BlockBackend
    private let engine: BlockEngine
    private let serial: InlineArray<20, UInt8>
    private let configuration: BlockConfigurationSpace

    // Of the loop's thread.
    private var worker: BlockWorker?
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
        configuration = BlockConfigurationSpace(capacitySectors: backend.capacitySectors)
        self.backend = backend
        self.engine = engine
        self.loop = loop
    }

    public var kind: VirtioDeviceKind { .block }
    public var maximumQueueSizes: [UInt16] { [Self.queueSize] }

    public var offeredFeatures: UInt64 {
        var features =
            QueueFeatures.all | BlockFeatures.maximumSegments | BlockFeatures.blockSize | BlockFeatures.topology
        if backend.isReadOnly { return features | BlockFeatures.readOnly }
        features |= BlockFeatures.discard | BlockFeatures.writeZeroes
        return backend.cache == .writeback ? features | BlockFeatures.flush : features
    }

    public func readConfiguration(offset: UInt32, width: UInt32) -> UInt32 {
        configuration.read(offset: offset, width: width)
    }

    public func writeConfiguration(offset: UInt32, width: UInt32, value: UInt32) {}

    public func activate(_ activation: DeviceActivation) throws(QueueError) {
        reset()
        guard let driverQueue = activation.queues.first ?? nil else { throw .queueNotReady }
        let queue = try SplitQueue(
            validating: driverQueue.layout, memory: activation.memory, maximumSize: Self.queueSize,
            acceptedFeatures: activation.acceptedFeatures)
        worker = BlockWorker(
            activation, queue: queue, backend: backend, engine: engine, ring: makeRing(), serial: serial,
            metrics: metrics, whenHostFails: whenHostFails)
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

    private func makeRing() -> IORing? {
        if engine == .synchronous { return nil }
        return try? IORing(entries: UInt32(BlockWorker.slotCount))
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
        worker = nil
    }

    public func handleEvent(token: UInt32, readiness: Readiness) {
        metrics.wakeUps.add()
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
