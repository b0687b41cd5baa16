public import GuestMemory
public import LinuxCalls
import Synchronization
import VirtioQueues

/// Memory that is plugged and unplugged in blocks while the guest runs.
///
/// The host says how much it is to be, the driver asks block by block. Processors reach it by slots of many blocks, each of
/// which is there only while one of its blocks is plugged; devices reach plugged blocks only. Source: virtio 1.3 §5.15.
public final class MemoryDevice: VirtioDevice, EventHandler, @unchecked Sendable {
    /// Has the processors reach a slot, or no longer.
    public typealias SlotSwitch = (_ number: UInt32, _ isPlugged: Bool) throws(LinuxError) -> Void

    /// The driver promises not to look at what is not plugged.
    static let unpluggedInaccessible: UInt64 = 1 << 1
    private static let queueSize: UInt16 = 64
    /// Requests of one turn; then the thread looks at its other devices.
    private static let requestsPerTurn = 32

    struct Service: ~Copyable {
        let memory: GuestMemory
        let interrupt: InterruptLine
        let doorbell: Doorbell
        var queue: SplitQueue
        var registration: EventRegistration?
    }

    public let loop: EventLoop
    public let metrics = MemoryMetrics()
    let attachment: MemoryAttachment
    let slotBytes: UInt64
    /// Of the loop's thread, as all below but the atomics.
    let switchSlot: SlotSwitch
    private(set) var attachedSlots: [Bool]
    private let requestedBytes = Atomic<UInt64>(0)
    private let plugged = Atomic<UInt64>(0)
    private var service: Service?
    private var readable = IOVectorList(capacity: 16)
    private var writable = IOVectorList(capacity: 16)

    /// - Parameters:
    ///   - attachment: pluggable memory with nothing plugged.
    ///   - slotBytes: a multiple of its blocks' size that divides its length.
    public init(
        _ attachment: MemoryAttachment, slotBytes: UInt64, loop: EventLoop, switchSlot: @escaping SlotSwitch
    ) {
        self.attachment = attachment
        self.slotBytes = slotBytes
        self.loop = loop
        self.switchSlot = switchSlot
        attachedSlots = Array(repeating: false, count: Int(truncatingIfNeeded: attachment.lengthBytes / slotBytes))
    }

    public var kind: VirtioDeviceKind { .memory }
    public var maximumQueueSizes: [UInt16] { [Self.queueSize] }
    public var offeredFeatures: UInt64 { QueueFeatures.all | Self.unpluggedInaccessible }

    // MARK: The host's side

    /// How much is to be plugged. Any thread; the guest is told at once and follows as it can.
    /// - Returns: false when it is not whole blocks, or more than there is.
    public func request(bytes: UInt64) -> Bool {
        guard bytes % attachment.blockBytes == 0, bytes <= attachment.lengthBytes else { return false }
        requestedBytes.store(bytes, ordering: .releasing)
        loop.perform { [self] in service?.interrupt.signalConfigurationChange() }
        return true
    }

    /// How much is to be plugged.
    public var requested: UInt64 { requestedBytes.load(ordering: .acquiring) }

    /// How much is plugged.
    public var pluggedBytes: UInt64 { plugged.load(ordering: .acquiring) }

    // MARK: The driver's side

    /// block_size (8 bytes), node_id (2), padding (6), addr, region_size, usable_region_size, plugged_size, requested_size
    /// (8 each). Source: virtio 1.3 §5.15.4.
    public func readConfiguration(offset: UInt32, width: UInt32) -> UInt32 {
        var answer = ConfigurationAnswer(offset: offset, width: width)
        answer.place(attachment.blockBytes, at: 0, width: 8)
        answer.place(attachment.start.value, at: 16, width: 8)
        answer.place(attachment.lengthBytes, at: 24, width: 8)
        answer.place(attachment.lengthBytes, at: 32, width: 8)
        answer.place(pluggedBytes, at: 40, width: 8)
        answer.place(requested, at: 48, width: 8)
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
                driverQueue.doorbell.event.descriptor.number, [.readable, .edgeTriggered], handler: self, token: 0)
        } catch {
            metrics.hostErrors.add()
            throw .queueNotReady
        }
        handleEvent(token: 0, readiness: .readable)
    }

    /// What is plugged stays so: a driver that comes anew asks first that all be unplugged.
    public func reset() {
        guard let service = service.take() else { return }
        if let registration = service.registration {
            loop.remove(registration, service.doorbell.event.descriptor.number)
        }
    }

    /// Each request is answered in the turn that takes it.
    public func settle() {}

    public var queuePositions: [QueuePosition?] { [service?.queue.position] }

    /// See `MemoryFigures`.
    public var ownState: [UInt64]? { [requested] + shape + (pluggedBytes == 0 ? [] : attachment.pluggedWords) }

    private var shape: [UInt64] {
        [attachment.start.value, attachment.lengthBytes, attachment.blockBytes, slotBytes]
    }

    /// What is plugged must be there by now; see `plugAgain`.
    public func restore(ownState: [UInt64]) throws(DeviceStateError) {
        guard let figures = MemoryFigures(ownState), figures.shape == shape, figures.pluggedBytes == pluggedBytes else {
            throw .malformed
        }
        requestedBytes.store(figures.requestedBytes, ordering: .releasing)
    }

    /// Has blocks and slots there that were plugged when a device like this one was saved; nothing is in them. For a fresh
    /// device, before any goes on: all may have something there.
    /// - Returns: false when the figures are those of another device.
    public func plugAgain(_ figures: MemoryFigures) throws(LinuxError) -> Bool {
        guard figures.shape == shape, pluggedBytes == 0 else { return false }
        for (index, word) in figures.pluggedWords.enumerated() where word != 0 {
            for bit in 0..<64 as Range<UInt64> where word & 1 << bit != 0 {
                attachment.setBlocks(UInt64(index) &* 64 &+ bit, 1, plugged: true)
            }
        }
        let blocks = slotBytes / attachment.blockBytes
        for slot in attachedSlots.indices {
            guard !attachment.areBlocks(UInt64(slot) &* blocks, blocks, plugged: false) else { continue }
            try switchSlot(UInt32(slot), true)
            note(slot: slot, attached: true)
        }
        note(plugged: figures.pluggedBytes)
        return true
    }

    public func handleEvent(token: UInt32, readiness: Readiness) {
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
            while let chain = try service?.queue.nextChain() {
                let head = chain.head
                try chain.gather(in: memory, readable: &readable, writable: &writable)
                service?.queue.addUsed(head: head, writtenBytes: UInt32(answer()))
                left &-= 1
                if left == 0 { return true }
            }
        } while try service?.queue.enableAvailableBufferNotifications() == true
        return false
    }

    /// Answers the request in the lists; returns how many bytes were written.
    private func answer() -> Int {
        var words = InlineArray<3, UInt64>(repeating: 0)
        var answer = MemoryRequest.Answer.invalid
        var state = MemoryRequest.State.plugged
        var span = words.mutableSpan
        // SAFETY: the words are a copy.
        let count = unsafe span.withUnsafeMutableBytes { bytes in unsafe readable.removeFirst(copyingInto: bytes) }
        if count == MemoryRequest.lengthBytes, writable.totalBytes >= UInt64(MemoryRequest.answerBytes),
            let request = MemoryRequest(words)
        {
            (answer, state) = carryOut(request)
        } else {
            metrics.badRequests.add()
        }
        // The answer, six bytes of nothing, the state. All of it is written, so that nothing old is left.
        var bytes = InlineArray<10, UInt8>(repeating: 0)
        bytes[0] = UInt8(truncatingIfNeeded: answer.rawValue)
        bytes[8] = UInt8(truncatingIfNeeded: state.rawValue)
        return writable.copyIn(bytes.span)
    }

    // MARK: What the requests change

    func note(plugged bytes: UInt64) { plugged.store(bytes, ordering: .releasing) }
    func note(slot: Int, attached: Bool) { attachedSlots[slot] = attached }
}
