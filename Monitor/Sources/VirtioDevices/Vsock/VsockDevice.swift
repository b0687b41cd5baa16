import GuestMemory
public import LinuxCalls
public import VirtioQueues

/// The vsock device: stream connections between programs in the guest and Unix sockets of the host, without help of the
/// host's kernel.
///
/// All work happens on the loop's thread, without blocking. Data goes by vectored calls between the sockets and the
/// guest's own buffers; only when a host program does not keep up are its bytes kept here, in a buffer whose size is the
/// credit that the guest was given, so a program that stalls holds up nothing but its own connection.
/// Source: virtio 1.3 §5.10.
public final class VsockDevice: VirtioDevice, EventHandler {
    /// The host's context. Source: virtio 1.3 §5.10.4.
    static let hostCID: UInt64 = 2
    static let queueSizes: [UInt16] = [128, 128, 16]

    enum Token {
        static let listener: UInt32 = 0xffff_0000
        static let timer: UInt32 = 0xffff_0001
        static let receiveDoorbell: UInt32 = 0xffff_0002
        static let transmitDoorbell: UInt32 = 0xffff_0003
        static let eventDoorbell: UInt32 = 0xffff_0004
    }

    public let kind = VirtioDeviceKind.vsock
    public let loop: EventLoop
    public let guestCID: UInt32
    public let metrics = VsockMetrics()
    var backend: VsockBackend
    let timer: TimerFile

    /// What exists only between activation and reset.
    struct Service: ~Copyable {
        let memory: GuestMemory
        let interrupt: InterruptLine
        let receiveDoorbell: Doorbell
        let transmitDoorbell: Doorbell
        var receiveQueue: SplitQueue
        var transmitQueue: SplitQueue
        var eventQueue: SplitQueue?
        var registrations: [(EventRegistration, Int32)] = []
    }

    var service: Service?
    /// The driver broke a queue; nothing is served until it resets the device.
    var isBroken = false
    var connections: VsockConnectionTable
    var resets = VsockResetQueue()
    /// The payload of the packet at hand, and room for those to come.
    var vectors = IOVectorList(capacity: 256)
    var batch = VsockReceiveBatch()

    static let firstHostPort: UInt32 = 1 << 30
    var nextHostPort = VsockDevice.firstHostPort
    /// Connections that have a deadline.
    var timedCount = 0
    var isTimerArmed = false
    var listenerRegistration: EventRegistration?
    var timerRegistration: EventRegistration?
    var isAnnouncementDue = false
    /// Nobody is connected to anybody meanwhile.
    var resetWait: ResetWait?

    /// How long a host program may take for its first line, the guest for its answer, and the guest for its last reset.
    var handshakeNanoseconds: UInt64 = 30_000_000_000
    var requestNanoseconds: UInt64 = 30_000_000_000
    var closingNanoseconds: UInt64 = 10_000_000_000

    /// - Parameter guestCID: 3 or more, chosen by our configuration; the guest's own context.
    public init(guestCID: UInt32, backend: consuming VsockBackend, loop: EventLoop) throws(LinuxError) {
        self.guestCID = guestCID
        self.backend = backend
        self.loop = loop
        timer = try TimerFile()
        connections = VsockConnectionTable(seed: UInt32(truncatingIfNeeded: Clock.monotonic.nanoseconds()))
    }

    public var maximumQueueSizes: [UInt16] { Self.queueSizes }
    public var offeredFeatures: UInt64 { QueueFeatures.all }

    /// The configuration space is the guest's context, eight bytes. Source: virtio 1.3 §5.10.4.
    public func readConfiguration(offset: UInt32, width: UInt32) -> UInt32 {
        var answer = ConfigurationAnswer(offset: offset, width: width)
        answer.place(UInt64(guestCID), at: 0, width: 8)
        return answer.value
    }

    public func writeConfiguration(offset: UInt32, width: UInt32, value: UInt32) {}

    public func activate(_ activation: DeviceActivation) throws(QueueError) {
        reset()
        guard activation.queues.count == 3, let receive = activation.queues[0], let transmit = activation.queues[1]
        else { throw .queueNotReady }
        func queue(_ queue: QueueActivation, _ index: Int) throws(QueueError) -> SplitQueue {
            try SplitQueue(
                validating: queue.layout, memory: activation.memory, maximumSize: Self.queueSizes[index],
                acceptedFeatures: activation.acceptedFeatures, position: queue.position)
        }
        let eventQueue: SplitQueue?
        if let events = activation.queues[2] { eventQueue = try queue(events, 2) } else { eventQueue = nil }
        service = Service(
            memory: activation.memory, interrupt: activation.interrupt, receiveDoorbell: receive.doorbell,
            transmitDoorbell: transmit.doorbell,
            receiveQueue: try queue(receive, 0), transmitQueue: try queue(transmit, 1), eventQueue: eventQueue)
        isBroken = false
        watch(receive.doorbell.event.descriptor.number, Token.receiveDoorbell)
        watch(transmit.doorbell.event.descriptor.number, Token.transmitDoorbell)
        if let events = activation.queues[2] { watch(events.doorbell.event.descriptor.number, Token.eventDoorbell) }
        // First: connections that are made before the guest knows of the reset would end with it.
        if isAnnouncementDue { announceTransportReset() }
        startAccepting()
        // The driver may have used its queues before it was watched.
        takeFromGuest()
    }

    private func watch(_ descriptor: Int32, _ token: UInt32) {
        if let registration = try? loop.add(descriptor, [.readable, .edgeTriggered], handler: self, token: token) {
            service?.registrations.append((registration, descriptor))
        }
    }

    public func reset() {
        stopAccepting()
        for index in 0..<connections.endIndex where connections.contains(index) { close(index) }
        resets.removeAll()
        resetWait = nil
        guard let service = service.take() else { return }
        for (registration, descriptor) in service.registrations { loop.remove(registration, descriptor) }
    }

    /// The orderly end: everything closed, and the listening socket's name removed. On the loop's thread, or when it has
    /// ended.
    public func shutDown() {
        reset()
        if let registration = timerRegistration.take() { loop.remove(registration, timer.descriptor.number) }
        backend.removePath()
    }

    /// Each packet is dealt with in the turn that takes it.
    public func settle() {}

    public var queuePositions: [QueuePosition?] {
        [service?.receiveQueue.position, service?.transmitQueue.position, service?.eventQueue?.position]
    }

    /// Connections end with the process that holds their sockets; their ports do not come again.
    public var ownState: [UInt64]? { [UInt64(nextHostPort)] }

    /// The guest learns at once that its connections are gone, and asks for its context again. What it has still to send on
    /// them is answered with resets, also later: those must not meet a new connection of the same ports.
    public func restore(ownState: [UInt64]) throws(DeviceStateError) {
        // Older snapshots say nothing.
        if !ownState.isEmpty {
            guard ownState.count == 1, let port = UInt32(exactly: ownState[0]), port >= Self.firstHostPort, port != .max
            else { throw .malformed }
            nextHostPort = port
        }
        isAnnouncementDue = true
    }

    public func handleEvent(token: UInt32, readiness: Readiness) {
        switch token {
        case Token.transmitDoorbell:
            takeFromGuest()
        case Token.receiveDoorbell:
            deliver()
        case Token.eventDoorbell:
            takeEventBuffers()
        case Token.listener:
            acceptHostPrograms()
        case Token.timer:
            timer.drain()
            giveUpExpired()
            deliver()
        default:
            let index = Int(token)
            guard connections.contains(index) else { return }
            handleSocket(index, readiness)
            deliver()
        }
    }

    /// The driver broke a queue: nothing is served until it resets the device.
    func fail(_ error: QueueError) {
        metrics.queueFaults.add()
        isBroken = true
        service?.interrupt.signalNeedsReset()
    }
}
