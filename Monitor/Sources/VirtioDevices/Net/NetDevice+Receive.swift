import CLinux
import GuestMemory
import LinuxCalls
import VirtioQueues

/// From the interface to the guest.
extension NetDevice {
    /// The most frames of one turn; other devices of the loop are to have theirs.
    private static let maximumFrames = 64

    /// Reads frames into the guest's buffers until there are no more of either.
    func deliver() {
        if metadataPort != nil { deliverMetadata() }
        guard isReadable, !isBroken, service != nil else { return }
        var framesLeft = Self.maximumFrames
        let descriptor = interface.descriptor.number
        do throws(QueueError) {
            service?.receiveQueue.disableAvailableBufferNotifications()
            while true {
                guard framesLeft > 0 else {
                    // The rest comes after everybody else's events.
                    service?.receiveDoorbell.event.signal()
                    break
                }
                // Its timer goes on with the rest; until then frames wait in the interface.
                guard receiveLimiter.isOpen else { break }
                guard try service?.fill(&window) == true else {
                    // The guest tells when it has put new buffers in.
                    if try service?.receiveQueue.enableAvailableBufferNotifications() == true { continue }
                    metrics.guestFull.add()
                    break
                }
                let count: Int
                do throws(LinuxError) {
                    // SAFETY: the vectors are checked ranges of guest memory.
                    count = unsafe try window.vectors.withVectors { pieces throws(LinuxError) in
                        unsafe try VectoredIO.read(descriptor, pieces)
                    }
                } catch {
                    isReadable = false
                    if error.number != EAGAIN { loseLink() }
                    break
                }
                guard count >= TapInterface.headerBytes else {
                    if count <= 0 { loseLink() }
                    break
                }
                framesLeft &-= 1
                receiveLimiter.spend(bytes: UInt64(count &- TapInterface.headerBytes))
                service?.complete(&window, count)
                metrics.receivedFrames.add()
                metrics.receivedBytes.add(UInt64(count &- TapInterface.headerBytes))
            }
        } catch { fail(error) }
        service?.publishReceived()
    }
}

extension NetDevice.Service {
    /// Shows the driver what it received.
    mutating func publishReceived() { if receiveQueue.publishUsed() { interrupt.signalUsedBuffers() } }

    /// Gathers buffers for the next frame; whether it may be read.
    @inline(__always)
    mutating func fill(_ window: inout NetReceiveWindow) throws(QueueError) -> Bool {
        try window.fill(from: &receiveQueue, memory: memory, target: targetBytes, chainLimit: chainLimit)
    }

    /// Gives back what a frame has filled.
    @inline(never)
    mutating func complete(_ window: inout NetReceiveWindow, _ bytes: Int) {
        window.complete(bytes, in: &receiveQueue)
    }
}
