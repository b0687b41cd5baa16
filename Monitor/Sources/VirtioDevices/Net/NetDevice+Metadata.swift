import GuestMemory
import LinuxCalls
public import MetadataService
import VirtioQueues

/// What an interface needs to answer its guest in the place of the metadata service.
final class NetMetadataPort {
    let endpoint: MetadataEndpoint
    /// For what is to be sent again.
    let timer: TimerFile
    /// A frame of the guest, and one for the guest with its header; both keep their room.
    var incoming = [UInt8](repeating: 0, count: MetadataEndpoint.maximumFrameBytes)
    var outgoing: [UInt8] = []
    var armed: UInt64?

    init(_ endpoint: MetadataEndpoint) throws(LinuxError) {
        self.endpoint = endpoint
        timer = try TimerFile()
        outgoing.reserveCapacity(1600)
    }

    func reset() {
        endpoint.reset()
        outgoing.removeAll(keepingCapacity: true)
    }
}

/// The metadata service: its frames never reach the interface of the host.
extension NetDevice {
    private static let noHeader = [UInt8](repeating: 0, count: TapInterface.headerBytes)
    /// The header's flag for a checksum that the device is to fill in. Source: virtio 1.3 §5.1.6.2.
    private static let needsChecksum: UInt8 = 1
    private static let maximumMetadataFrames = 64

    /// Has the guest's frames to the service answered. Before the loop runs, or on its thread.
    public func serve(_ endpoint: MetadataEndpoint) throws(LinuxError) {
        let port = try NetMetadataPort(endpoint)
        _ = try loop.add(port.timer.descriptor.number, .readable, handler: self, token: Token.metadata)
        metadataPort = port
    }

    /// What the service has counted here, by Firecracker's names. Any thread.
    public func metadataCount(_ name: String) -> UInt64 { metadataPort?.endpoint.metrics.count(name) ?? 0 }

    /// Takes the guest's frame that has been gathered, if it is for the service.
    @inline(never)
    func takeForMetadata() -> Bool {
        guard let port = metadataPort else { return false }
        let prefixBytes = MetadataEndpoint.prefixBytes
        let header = UInt64(TapInterface.headerBytes)
        // SAFETY: the array's own bytes. Each of the guest's is fetched once.
        let count = unsafe port.incoming.withUnsafeMutableBytes { bytes in
            unsafe outgoing.copyOut(UnsafeMutableRawBufferPointer(rebasing: bytes[..<prefixBytes]), atByte: header)
        }
        guard port.endpoint.isAddressed(port.incoming, count: count) else { return false }
        var flags: UInt8 = 0
        var total = count
        unsafe withUnsafeMutableBytes(of: &flags) { bytes in _ = unsafe outgoing.copyOut(bytes) }
        if count == prefixBytes {
            // SAFETY: as above.
            total += unsafe port.incoming.withUnsafeMutableBytes { bytes in
                unsafe outgoing.copyOut(
                    UnsafeMutableRawBufferPointer(rebasing: bytes[prefixBytes...]),
                    atByte: header &+ UInt64(prefixBytes))
            }
        }
        port.endpoint.receive(
            port.incoming, count: total, hasChecksum: flags & Self.needsChecksum == 0,
            now: Clock.monotonic.nanoseconds())
        return true
    }

    /// Puts the service's frames into the guest's buffers, and sets the timer for what comes later.
    @inline(never)
    func deliverMetadata() {
        guard let port = metadataPort, !isBroken, service != nil else { return }
        let now = Clock.monotonic.nanoseconds()
        var framesLeft = Self.maximumMetadataFrames
        do throws(QueueError) {
            while true {
                if port.outgoing.isEmpty {
                    guard framesLeft > 0 else {
                        // The rest comes after everybody else's events.
                        service?.receiveDoorbell.event.signal()
                        break
                    }
                    framesLeft &-= 1
                    port.outgoing.append(contentsOf: Self.noHeader)
                    guard port.endpoint.writeFrame(&port.outgoing, now: now) else {
                        port.outgoing.removeAll(keepingCapacity: true)
                        break
                    }
                }
                service?.receiveQueue.disableAvailableBufferNotifications()
                guard try service?.fill(&window, forBytes: UInt64(port.outgoing.count)) == true else {
                    if try service?.receiveQueue.enableAvailableBufferNotifications() == true { continue }
                    metrics.guestFull.add()
                    break
                }
                window.vectors.copyIn(port.outgoing.span)
                service?.complete(&window, port.outgoing.count)
                port.outgoing.removeAll(keepingCapacity: true)
            }
        } catch { fail(error) }
        service?.publishReceived()
        let deadline = port.endpoint.deadline
        guard deadline != port.armed else { return }
        port.armed = deadline
        // It can fail only for numbers that no time has.
        try? port.timer.arm(firstNanoseconds: deadline.map { $0 > now ? $0 - now : 1 } ?? 0)
    }
}

extension NetDevice.Service {
    /// Gathers buffers for a frame whose length is known.
    mutating func fill(_ window: inout NetReceiveWindow, forBytes count: UInt64) throws(QueueError) -> Bool {
        try window.fill(from: &receiveQueue, memory: memory, target: count, chainLimit: chainLimit)
    }
}
