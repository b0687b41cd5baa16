import CLinux
import GuestMemory
import LinuxCalls
import VirtioQueues

/// From the guest to the interface.
extension NetDevice {
    private static let maximumFrames = 64

    /// Writes the guest's frames to the interface.
    func send() {
        guard !isBroken, !isInterfaceFull, service != nil else { return }
        var framesLeft = Self.maximumFrames
        let descriptor = interface.descriptor.number
        do throws(QueueError) {
            service?.transmitQueue.disableAvailableBufferNotifications()
            while true {
                guard framesLeft > 0 else {
                    service?.transmitDoorbell.event.signal()
                    break
                }
                // Its timer goes on with the rest.
                guard transmitLimiter.isOpen else { break }
                guard let chain = try service?.transmitQueue.nextChain() else {
                    if try service?.transmitQueue.enableAvailableBufferNotifications() == true { continue }
                    break
                }
                try service?.gather(chain, into: &outgoing)
                framesLeft &-= 1
                guard outgoing.totalBytes > UInt64(TapInterface.headerBytes) else {
                    metrics.malformedFrames.add()
                    transmitLimiter.spend(bytes: 0)
                    service?.transmitQueue.addUsed(head: chain.head, writtenBytes: 0)
                    continue
                }
                if metadataPort != nil, takeForMetadata() {
                    transmitLimiter.spend(bytes: outgoing.totalBytes)
                    service?.transmitQueue.addUsed(head: chain.head, writtenBytes: 0)
                    continue
                }
                do throws(LinuxError) {
                    // SAFETY: the vectors are checked ranges of guest memory.
                    let count = unsafe try outgoing.withVectors { pieces throws(LinuxError) in
                        unsafe try VectoredIO.write(descriptor, pieces)
                    }
                    metrics.sentFrames.add()
                    metrics.sentBytes.add(UInt64(count &- TapInterface.headerBytes))
                } catch {
                    if error.number == EAGAIN {
                        service?.transmitQueue.putBack()
                        metrics.interfaceFull.add()
                        watchForRoom(true)
                        break
                    }
                    // A header that makes no sense, or an interface that is down or gone: the frame is lost, as on a wire.
                    metrics.droppedFrames.add()
                    if error.number == EBADFD || error.number == EBADF { loseLink() }
                }
                transmitLimiter.spend(bytes: outgoing.totalBytes)
                service?.transmitQueue.addUsed(head: chain.head, writtenBytes: 0)
            }
        } catch { fail(error) }
        service?.publishSent()
        if metadataPort != nil { deliver() }
    }
}

extension NetDevice.Service {
    /// Finds the pieces of a frame.
    mutating func gather(_ chain: DescriptorChain, into frame: inout IOVectorList) throws(QueueError) {
        try chain.gather(in: memory, readable: &frame)
    }

    /// Gives the driver its buffers back.
    mutating func publishSent() { if transmitQueue.publishUsed() { interrupt.signalUsedBuffers() } }
}
