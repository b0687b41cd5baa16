import GuestMemory
public import LinuxCalls
import Synchronization
public import VirtioQueues

/// The network device: the guest's Ethernet interface on a TAP interface of the host.
///
/// Frames go between the interface and the guest's own buffers by one vectored call each, without a copy here; checksums
/// and segmentation are left to the kernels on both sides. All work happens on the loop's thread, without blocking.
/// Source: virtio 1.3 §5.1.
public final class NetDevice: VirtioDevice, EventHandler {
    static let queueSizes: [UInt16] = [256, 256]
    /// The longest frame with segmentation, header included.
    static let largestFrameBytes: UInt64 = 65562 + 12

    enum Token {
        static let interface: UInt32 = 0
        static let receiveDoorbell: UInt32 = 1
        static let transmitDoorbell: UInt32 = 2
        static let receiveLimiter: UInt32 = 3
        static let transmitLimiter: UInt32 = 4
        static let metadata: UInt32 = 5
    }

    struct Service: ~Copyable {
        let memory: GuestMemory
        let interrupt: InterruptLine
        let receiveDoorbell: Doorbell
        let transmitDoorbell: Doorbell
        var receiveQueue: SplitQueue
        var transmitQueue: SplitQueue
        /// How much room to offer to the next frame, in how many chains.
        let targetBytes: UInt64
        let chainLimit: Int
        var registrations: [(EventRegistration, Int32)] = []
        var interfaceRegistration: EventRegistration?
    }

    public let loop: EventLoop
    public let metrics = NetMetrics()
    public let mac: MACAddress
    public let mtu: UInt16?
    let interface: TapInterface
    /// To the guest, and from it. Of the loop's thread.
    public let receiveLimiter: RateLimiter
    public let transmitLimiter: RateLimiter

    var service: Service?
    var isBroken = false
    /// The interface may have frames (it is watched edge-triggered).
    var isReadable = false
    /// The interface is watched for room.
    var isInterfaceFull = false
    var window = NetReceiveWindow()
    var outgoing = IOVectorList(capacity: 1024)
    /// What answers frames to the metadata service, on an interface that it is for.
    var metadataPort: NetMetadataPort?
    private let isLinkUp = Atomic<Bool>(true)

    /// - Parameters:
    ///   - mac: nil for a random one.
    ///   - mtu: what the guest is told; nil leaves it at its own.
    public init(_ interface: consuming TapInterface, mac: MACAddress? = nil, mtu: UInt16? = nil, loop: EventLoop) {
        self.interface = interface
        self.mac = mac ?? .random()
        self.mtu = mtu
        self.loop = loop
        receiveLimiter = RateLimiter(loop: loop)
        transmitLimiter = RateLimiter(loop: loop)
    }

    /// Changes how fast frames go to the guest. On the loop's thread, or before that runs.
    public func setReceiveLimits(
        _ change: (RateLimiter, any EventHandler, UInt32) throws(LinuxError) -> Void
    ) throws(LinuxError) {
        try change(receiveLimiter, self, Token.receiveLimiter)
    }

    /// Changes how fast frames come from the guest. On the loop's thread, or before that runs.
    public func setTransmitLimits(
        _ change: (RateLimiter, any EventHandler, UInt32) throws(LinuxError) -> Void
    ) throws(LinuxError) {
        try change(transmitLimiter, self, Token.transmitLimiter)
    }

    public var kind: VirtioDeviceKind { .net }
    public var maximumQueueSizes: [UInt16] { Self.queueSizes }

    public var offeredFeatures: UInt64 {
        NetFeature.always | (mtu != nil ? NetFeature.mtu : 0)
            | (interface.hasUDPSegmentation ? NetFeature.withUDPSegmentation : 0)
    }

    /// mac (6 bytes), status (2), max_virtqueue_pairs (2), mtu (2). Source: virtio 1.3 §5.1.4.
    public func readConfiguration(offset: UInt32, width: UInt32) -> UInt32 {
        var answer = ConfigurationAnswer(offset: offset, width: width)
        answer.place(mac.value, at: 0, width: 6)
        answer.place(isLinkUp.load(ordering: .acquiring) ? 1 : 0, at: 6, width: 2)
        answer.place(1, at: 8, width: 2)
        answer.place(UInt64(mtu ?? 0), at: 10, width: 2)
        return answer.value
    }

    public func writeConfiguration(offset: UInt32, width: UInt32, value: UInt32) {}

    public func activate(_ activation: DeviceActivation) throws(QueueError) {
        reset()
        guard activation.queues.count == 2, let receive = activation.queues[0], let transmit = activation.queues[1]
        else { throw .queueNotReady }
        let features = activation.acceptedFeatures
        let receiveQueue = try SplitQueue(
            validating: receive.layout, memory: activation.memory, maximumSize: Self.queueSizes[0],
            acceptedFeatures: features, position: receive.position)
        let transmitQueue = try SplitQueue(
            validating: transmit.layout, memory: activation.memory, maximumSize: Self.queueSizes[1],
            acceptedFeatures: features, position: transmit.position)
        let offloads = NetOffload.offloads(features: features)
        let frameBytes = max(UInt64(mtu ?? 1500), 1500) + 14 + 4 + UInt64(TapInterface.headerBytes)
        service = Service(
            memory: activation.memory, interrupt: activation.interrupt, receiveDoorbell: receive.doorbell,
            transmitDoorbell: transmit.doorbell, receiveQueue: receiveQueue, transmitQueue: transmitQueue,
            targetBytes: offloads > NetOffload.checksum ? Self.largestFrameBytes : frameBytes,
            chainLimit: features & NetFeature.mergeableBuffers != 0 ? NetReceiveWindow.maximumChains : 1)
        isBroken = false
        isInterfaceFull = false
        interface.setOffloads(offloads)
        watch(receive.doorbell, Token.receiveDoorbell)
        watch(transmit.doorbell, Token.transmitDoorbell)
        isReadable = true
        do throws(LinuxError) {
            service?.interfaceRegistration = try loop.add(
                interface.descriptor.number, [.readable, .edgeTriggered], handler: self, token: Token.interface)
        } catch { loseLink() }
        send()
        deliver()
    }

    private func watch(_ doorbell: Doorbell, _ token: UInt32) {
        let number = doorbell.event.descriptor.number
        if let registration = try? loop.add(number, [.readable, .edgeTriggered], handler: self, token: token) {
            service?.registrations.append((registration, number))
        }
    }

    public func reset() {
        window.removeAll()
        metadataPort?.reset()
        guard let service = service.take() else { return }
        for (registration, descriptor) in service.registrations { loop.remove(registration, descriptor) }
        if let registration = service.interfaceRegistration {
            loop.remove(registration, interface.descriptor.number)
        }
        interface.setOffloads(0)
    }

    /// Its loop has nothing more of it. On the loop's thread, after `reset`.
    public func letGo() {
        receiveLimiter.letGo()
        transmitLimiter.letGo()
    }

    /// The buffers gathered for the next frame go back.
    public func settle() {
        service?.receiveQueue.putBack(chains: UInt16(truncatingIfNeeded: window.count))
        window.removeAll()
    }

    public var queuePositions: [QueuePosition?] { [service?.receiveQueue.position, service?.transmitQueue.position] }

    /// The address is the configuration's: a clone has its own.
    public var ownState: [UInt64]? { [] }
    public func restore(ownState: [UInt64]) throws(DeviceStateError) {
        if !ownState.isEmpty { throw .malformed }
    }

    public func handleEvent(token: UInt32, readiness: Readiness) {
        switch token {
        case Token.transmitDoorbell: send()
        case Token.receiveDoorbell: deliver()
        case Token.receiveLimiter:
            receiveLimiter.rewind()
            deliver()
        case Token.transmitLimiter:
            transmitLimiter.rewind()
            send()
        case Token.metadata:
            metadataPort?.timer.drain()
            deliver()
        default:
            if readiness.contains(.writable) && isInterfaceFull {
                watchForRoom(false)
                send()
            }
            isReadable = true
            deliver()
        }
    }

    /// Watches the interface for room to write, or stops that.
    func watchForRoom(_ isWanted: Bool) {
        isInterfaceFull = isWanted
        guard let registration = service?.interfaceRegistration else { return }
        try? loop.modify(
            registration, interface.descriptor.number,
            isWanted ? [.readable, .writable, .edgeTriggered] : [.readable, .edgeTriggered])
    }

    /// The driver broke a queue: nothing is served until it resets the device.
    func fail(_ error: QueueError) {
        metrics.queueFaults.add()
        isBroken = true
        window.removeAll()
        service?.interrupt.signalNeedsReset()
    }

    /// The interface is gone for good: the guest sees its cable pulled.
    func loseLink() {
        isReadable = false
        guard isLinkUp.exchange(false, ordering: .acquiringAndReleasing) else { return }
        metrics.linkLosses.add()
        service?.interrupt.signalConfigurationChange()
    }
}
