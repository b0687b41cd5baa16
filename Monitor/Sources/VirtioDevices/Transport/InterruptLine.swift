public import LinuxCalls
import Synchronization

/// A device's way to interrupt the guest: an eventfd that KVM turns into an edge on the device's interrupt, and the
/// reasons that the driver reads. Any thread may raise it.
public final class InterruptLine: Sendable {
    /// Given to KVM as an irqfd.
    public let event: EventFile
    private let status = Atomic<UInt32>(0)
    private let generation = Atomic<UInt32>(0)

    public init() throws(LinuxError) { event = try EventFile() }

    /// The InterruptStatus register: bit 0 used buffers, bit 1 configuration change.
    /// Source: virtio 1.3 §4.2.2, offset 0x060.
    public var pendingReasons: UInt32 {
        status.load(ordering: .acquiring) | (isShared.load(ordering: .acquiring) ? 1 : 0)
    }

    /// From now on somebody else raises `event` for used buffers, who cannot set the reason here: until the driver resets the
    /// device it is told each time that there may be some.
    public func share() { isShared.store(true, ordering: .releasing) }
    private let isShared = Atomic<Bool>(false)

    /// The ConfigGeneration register.
    public var configurationGeneration: UInt32 { generation.load(ordering: .acquiring) }

    /// Tells the driver that a queue has used buffers.
    public func signalUsedBuffers() {
        status.bitwiseOr(1, ordering: .releasing)
        event.signal()
    }

    /// Tells the driver that the configuration space has changed; call it after the change.
    public func signalConfigurationChange() {
        generation.add(1, ordering: .releasing)
        status.bitwiseOr(2, ordering: .releasing)
        event.signal()
    }

    /// Tells the driver that the device has met an error that only a reset ends.
    /// Source: virtio 1.3 §2.1.2.
    public func signalNeedsReset() {
        needsReset.store(true, ordering: .releasing)
        signalConfigurationChange()
    }

    /// Whether DEVICE_NEEDS_RESET is to be seen in the status register.
    public var isResetNeeded: Bool { needsReset.load(ordering: .acquiring) }
    private let needsReset = Atomic<Bool>(false)

    /// The driver has seen these reasons (InterruptACK).
    public func acknowledge(_ reasons: UInt32) { status.bitwiseAnd(~reasons, ordering: .acquiringAndReleasing) }

    /// Takes over what another line had to say, and says it: one interrupt too many does no harm, one too few would.
    func restore(reasons: UInt32, generation: UInt32, isResetNeeded: Bool) {
        status.store(reasons, ordering: .releasing)
        self.generation.store(generation, ordering: .releasing)
        needsReset.store(isResetNeeded, ordering: .releasing)
        if reasons != 0 { event.signal() }
    }

    /// Back to the state before the driver came.
    public func reset() {
        status.store(0, ordering: .releasing)
        needsReset.store(false, ordering: .releasing)
        isShared.store(false, ordering: .releasing)
    }
}
