import GuestMemory
public import LinuxCalls
import VirtioQueues

/// A virtio disk whose requests another process serves.
///
/// The driver's doorbell and the device's interrupt are the backend's two eventfds, so no request comes through here. A
/// backend that dies, or says what makes no sense, is given up for good: the device asks for a reset, and does not come back.
/// Source: virtio 1.3 §5.2.
public final class VhostUserBlockDevice: VirtioDevice, EventHandler, @unchecked Sendable {
    private static let queueSize: UInt16 = 256

    public let loop: EventLoop
    public let metrics = VhostUserBlockMetrics()
    /// Called on the device's thread when the backend is given up. Set before the driver can activate the device.
    public var whenBackendIsLost: (VhostUserError) -> Void = { _ in }
    public let offeredFeatures: UInt64

    private let lock = FutexLock()
    /// Guarded by `lock`.
    private var configuration: [UInt8]

    // Of the loop's thread.
    private let connection: VhostUserConnection
    private var registration: EventRegistration?
    private var interrupt: InterruptLine?
    /// Why the backend was given up.
    private var loss: VhostUserError?

    /// - Parameters:
    ///   - isWriteback: whether the guest is offered to flush.
    ///   - loop: of a thread that serves this device alone.
    public init(_ connection: VhostUserConnection, isWriteback: Bool, loop: EventLoop) throws(LinuxError) {
        self.connection = connection
        self.loop = loop
        let taken =
            QueueFeatures.all | BlockFeatures.maximumSegmentBytes | BlockFeatures.maximumSegments
            | BlockFeatures.readOnly | BlockFeatures.blockSize | BlockFeatures.topology | BlockFeatures.discard
            | BlockFeatures.writeZeroes | (isWriteback ? BlockFeatures.flush : 0)
        offeredFeatures = connection.features & taken
        configuration = connection.configuration
        // What comes without having been asked for, the connection's end above all.
        registration = try loop.add(connection.socket.number, [.readable, .peerClosed], handler: self)
    }

    public var kind: VirtioDeviceKind { .block }
    public var maximumQueueSizes: [UInt16] { [Self.queueSize] }

    public func readConfiguration(offset: UInt32, width: UInt32) -> UInt32 {
        let bytes = lock.withLock { configuration }
        var value: UInt32 = 0
        for index in 0..<min(width, 4) {
            let place = Int(offset) + Int(index)
            if place < bytes.count { value |= UInt32(bytes[place]) << (8 * index) }
        }
        return value
    }

    public func writeConfiguration(offset: UInt32, width: UInt32, value: UInt32) {}

    /// Asks the backend for the configuration again, and tells the driver to look at it. On the loop's thread.
    public func refresh() throws(VhostUserError) {
        do throws(VhostUserError) {
            if let loss { throw loss }
            try connection.refresh()
        } catch {
            metrics.failedRefreshes.add()
            lose(error)
            throw error
        }
        let bytes = connection.configuration
        lock.withLock { configuration = bytes }
        interrupt?.signalConfigurationChange()
    }

    public func activate(_ activation: DeviceActivation) throws(QueueError) {
        reset()
        guard let queue = activation.queues.first ?? nil else { throw .queueNotReady }
        // Looked at as if it were served here: the backend is not to find out what is wrong with it.
        _ = try SplitQueue(
            validating: queue.layout, memory: activation.memory, maximumSize: Self.queueSize,
            acceptedFeatures: activation.acceptedFeatures)
        do throws(VhostUserError) {
            if let loss { throw loss }
            activation.interrupt.share()
            try connection.start(
                features: activation.acceptedFeatures, activation.memory, queue.layout,
                kick: queue.doorbell.event.descriptor.number, call: activation.interrupt.event.descriptor.number)
        } catch {
            metrics.failedActivations.add()
            lose(error)
            throw .queueNotReady
        }
        interrupt = activation.interrupt
        // A doorbell that rang before the backend had it is not told again otherwise.
        queue.doorbell.event.signal()
    }

    public func reset() {
        guard interrupt != nil else { return }
        interrupt = nil
        do throws(VhostUserError) { try connection.stop() } catch { lose(error) }
    }

    /// What the backend has taken it finishes; nobody is told when.
    public func settle() {}

    public var queuePositions: [QueuePosition?] { [nil] }

    public var ownState: [UInt64]? { nil }

    public func restore(ownState: [UInt64]) throws(DeviceStateError) { throw .malformed }

    public func handleEvent(token: UInt32, readiness: Readiness) {
        lose(readiness.isDisjoint(with: [.hangUp, .peerClosed]) ? .malformed : .closed)
    }

    @inline(never)
    private func lose(_ error: VhostUserError) {
        guard loss == nil else { return }
        loss = error
        metrics.losses.add()
        if let registration { loop.remove(registration, connection.socket.number) }
        registration = nil
        // A backend that still listens learns that it has nothing more to do.
        shutDownSocket(connection.socket.number, 2)
        interrupt?.signalNeedsReset()
        interrupt = nil
        whenBackendIsLost(error)
    }
}
