import GuestMemory
import LinuxCalls
import VirtioQueues

/// Telling the guest that its connections are gone, and waiting until it has dealt with that.
extension VsockDevice {
    /// What is waited for after a transport reset. A driver closes all connections that it finds when it hears of the reset, also
    /// those that were made meanwhile; so none is made before.
    struct ResetWait {
        /// The event queue's available index before. A driver gives the event's buffer back when it is done with it.
        var availableIndex: UInt16?
        /// How many times the timer may tick while the guest runs, ten seconds: a driver that never gives a buffer back
        /// loses what is made too early, and nothing else.
        var ticksLeft = 40
    }

    /// Tells the guest that all its connections are gone, as after a restore: it is to close them and to ask for its
    /// context again. Source: virtio 1.3 §5.10.6.7.
    public func announceTransportReset() {
        isAnnouncementDue = true
        guard !isBroken, let memory = service?.memory else { return }
        do throws(QueueError) {
            guard let before = try service?.eventQueue?.requestNotificationOfNextAddition() else { return }
            if resetWait == nil {
                resetWait = ResetWait()
                stopAccepting()
                armTimer()
            }
            guard let chain = try service?.eventQueue?.nextChain() else { return }
            vectors.removeAll()
            try chain.gather(in: memory, appendingWritable: &vectors)
            var event: UInt32 = 0
            let written = unsafe withUnsafeBytes(of: &event) { bytes in
                // SAFETY: the bytes are copied during the call.
                unsafe vectors.copyIn(bytes)
            }
            isAnnouncementDue = false
            resetWait?.availableIndex = before
            service?.eventQueue?.addUsed(head: chain.head, writtenBytes: UInt32(written))
            if service?.eventQueue?.publishUsed() == true { service?.interrupt.signalUsedBuffers() }
        } catch { fail(error) }
    }

    /// The driver says that it has made event buffers available: that is its last step with an event.
    func takeEventBuffers() {
        if isAnnouncementDue { return announceTransportReset() }
        guard !isBroken, let before = resetWait?.availableIndex else { return }
        do throws(QueueError) {
            if try service?.eventQueue?.requestNotificationOfNextAddition() != before { endResetWait() }
        } catch { fail(error) }
    }

    /// The timer has ticked.
    func countResetWait() {
        guard let wait = resetWait else { return }
        resetWait?.ticksLeft = wait.ticksLeft - 1
        if wait.ticksLeft <= 1 {
            metrics.timeouts.add()
            endResetWait()
        }
    }

    private func endResetWait() {
        resetWait = nil
        startAccepting()
        takeFromGuest()
    }
}
