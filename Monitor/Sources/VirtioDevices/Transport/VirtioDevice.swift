public import GuestMemory
public import LinuxCalls
public import VirtioQueues

/// What kind a device is. Source: virtio 1.3 §5.
public enum VirtioDeviceKind: UInt32, Sendable {
    case net = 1
    case block = 2
    case entropy = 4
    case balloon = 5
    case vsock = 19
    case memory = 24
    case fileSystem = 26
    case persistentMemory = 27
}

/// One virtio device behind any transport.
///
/// A device belongs to the thread of its `loop`: `activate`, `reset` and everything they start run there. The transport
/// calls the other members from processor threads, so they read only what never changes or what is atomic.
public protocol VirtioDevice: EventHandler {
    var kind: VirtioDeviceKind { get }

    /// The largest size of each queue, in the order of the standard.
    var maximumQueueSizes: [UInt16] { get }

    /// The device's own feature bits (0 to 23, 50 up) and those of the queues that it supports; the transport adds
    /// VIRTIO_F_VERSION_1.
    var offeredFeatures: UInt64 { get }

    /// The thread that the device lives on.
    var loop: EventLoop { get }

    /// One access to the configuration space: `width` is 1, 2 or 4. What lies outside reads as zero. Any thread.
    func readConfiguration(offset: UInt32, width: UInt32) -> UInt32

    /// A driver's write to the configuration space; what is read-only or outside is ignored. Any thread.
    func writeConfiguration(offset: UInt32, width: UInt32, value: UInt32)

    /// The driver is ready (DRIVER_OK): begin to serve. On the loop's thread.
    /// - Throws: when a queue is not acceptable; the transport then sets DEVICE_NEEDS_RESET.
    func activate(_ activation: DeviceActivation) throws(QueueError)

    /// Stop serving and forget the driver: no guest memory is touched after this returns. On the loop's thread; may come
    /// in every state, also twice.
    func reset()

    /// Finishes what is at work and gives back what was taken ahead, so that no chain is in flight and `queuePositions`
    /// says all. On the loop's thread, while the guest's processors stand still; afterwards the device has no events
    /// until it is resumed.
    func settle()

    /// How far each queue is, in the order of `maximumQueueSizes`; nil for one that is not served. On the loop's thread,
    /// after `settle`.
    var queuePositions: [QueuePosition?] { get }

    /// What a restored device needs besides its queues and registers; nil when it holds what no snapshot can keep. On the
    /// loop's thread, after `settle`.
    var ownState: [UInt64]? { get }

    /// Takes over what `ownState` said, before the device is activated with the queues that go with it. Trust: the
    /// figures come from a file.
    /// - Throws: when this device is not one that they can belong to.
    func restore(ownState: [UInt64]) throws(DeviceStateError)
}

/// Why a device cannot go on where another one stopped.
public enum DeviceStateError: Error, Equatable, Sendable {
    /// Not as many figures as the device has, or one that it never has.
    case malformed
    /// The disk has another size, in sectors.
    case capacity(saved: UInt64, now: UInt64)
}

/// Everything a device needs from the driver's side to serve.
public struct DeviceActivation {
    public let memory: GuestMemory
    /// What the driver accepted; a subset of what was offered, VIRTIO_F_VERSION_1 among it.
    public let acceptedFeatures: UInt64
    /// One for each queue of the device; nil where the driver did not make it ready.
    public let queues: [QueueActivation?]
    public let interrupt: InterruptLine

    public init(
        memory: GuestMemory, acceptedFeatures: UInt64, queues: [QueueActivation?], interrupt: InterruptLine
    ) {
        self.memory = memory
        self.acceptedFeatures = acceptedFeatures
        self.queues = queues
        self.interrupt = interrupt
    }
}

/// One queue that the driver made ready.
public struct QueueActivation {
    public let layout: QueueLayout
    public let doorbell: Doorbell
    /// Where to begin: not at zero after a restore.
    public let position: QueuePosition

    public init(layout: QueueLayout, doorbell: Doorbell, position: QueuePosition = QueuePosition()) {
        self.layout = layout
        self.doorbell = doorbell
        self.position = position
    }
}

/// The driver's way to say that a queue has available buffers: an eventfd that KVM raises at a write to QueueNotify
/// (ioeventfd), watched by the device's loop.
public final class Doorbell: Sendable {
    public let event: EventFile

    public init() throws(LinuxError) { event = try EventFile() }
}
