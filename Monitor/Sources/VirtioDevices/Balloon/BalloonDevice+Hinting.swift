import GuestMemory
import LinuxCalls
import Synchronization
import VirtioQueues

/// What the host and the guest have said last about a run of hints. Any thread. Source: virtio 1.3 §5.5.6.5.
final class HintCommands: Sendable {
    /// No run, or its end by the guest's word.
    static let stop: UInt32 = 0
    /// The host has what it wanted: the guest may use all its pages again.
    static let done: UInt32 = 1

    private let hostCommand = Atomic<UInt32>(HintCommands.stop)
    /// Beyond 32 bits: nothing yet.
    private let guestCommand = Atomic<UInt64>(.max)
    private let lastRun = Atomic<UInt32>(HintCommands.done)
    private let acknowledges = Atomic<Bool>(true)

    var host: UInt32 { hostCommand.load(ordering: .acquiring) }
    var guest: UInt32? { UInt32(exactly: guestCommand.load(ordering: .acquiring)) }
    /// Whether the host ends a run that the guest has ended.
    var isAcknowledging: Bool { acknowledges.load(ordering: .acquiring) }
    /// Whether the guest's hints belong to the run that the host has asked for.
    var isRunning: Bool { host > Self.done && guest == host }

    func start(acknowledging: Bool) {
        let last = lastRun.load(ordering: .acquiring)
        let run = last == .max ? Self.done + 1 : last + 1
        lastRun.store(run, ordering: .releasing)
        acknowledges.store(acknowledging, ordering: .releasing)
        hostCommand.store(run, ordering: .releasing)
    }

    func finish() { hostCommand.store(Self.done, ordering: .releasing) }
    func note(guest command: UInt32) { guestCommand.store(UInt64(command), ordering: .releasing) }
    func forgetGuest() { guestCommand.store(.max, ordering: .releasing) }

    func restore(host command: UInt32) {
        hostCommand.store(command, ordering: .releasing)
        lastRun.store(max(command, Self.done), ordering: .releasing)
    }
}

/// Hints: when the host asks for them, the guest names pages that it does not use, and leaves them so until the run's end.
extension BalloonDevice {
    /// What both sides have said last: zero for the end of a run, one for the host's being done, else the run's number.
    /// Any thread.
    public var hintCommands: (host: UInt32, guest: UInt32?) { (hints.host, hints.guest) }

    /// Asks for hints anew. Any thread.
    /// - Parameter acknowledging: whether the guest has its pages back as soon as it has named them all.
    /// - Returns: false when the guest's driver gives none.
    public func startHinting(acknowledging: Bool) -> Bool {
        var isStarted = false
        loop.perform { [self] in
            guard service?.hasHinting == true else { return }
            hints.start(acknowledging: acknowledging)
            service?.interrupt.signalConfigurationChange()
            isStarted = true
        }
        return isStarted
    }

    /// Lets the guest use all its pages again. Any thread.
    /// - Returns: as `startHinting`.
    public func stopHinting() -> Bool {
        var isStopped = false
        loop.perform { [self] in
            guard service?.hasHinting == true else { return }
            endRun()
            isStopped = true
        }
        return isStopped
    }

    private func endRun() {
        hints.finish()
        service?.interrupt.signalConfigurationChange()
    }

    /// Each chain says which run begins (or that one ends), or names pages that are free.
    func takeHints() throws(QueueError) -> Bool {
        guard let memory = service?.memory, service?.hasHinting == true else { return false }
        var left = 32
        while true {
            if left == 0 {
                service?.hintingDoorbell?.event.signal()
                break
            }
            guard var chain = try service?.hinting?.nextChain() else {
                if try service?.hinting?.enableAvailableBufferNotifications() == true { continue }
                break
            }
            left -= 1
            while let buffer = try chain.next(in: memory) {
                if buffer.isDeviceWritable {
                    release(hint: buffer.address, lengthBytes: UInt64(buffer.lengthBytes), memory)
                } else {
                    takeCommand(buffer.address, lengthBytes: UInt64(buffer.lengthBytes), memory)
                }
            }
            service?.hinting?.addUsed(head: chain.head, writtenBytes: 0)
        }
        return service?.hinting?.publishUsed() ?? false
    }

    private func takeCommand(_ address: GuestAddress, lengthBytes: UInt64, _ memory: GuestMemory) {
        vectors.removeAll()
        try? vectors.append(memory, address, lengthBytes: min(lengthBytes, 4))
        guard let command = vectors.takeFirst(UInt32.self) else { return metrics.invalidPages.add() }
        hints.note(guest: command)
        if command <= HintCommands.done, hints.host > HintCommands.done, hints.isAcknowledging { endRun() }
    }

    /// Hints of a run that is over are nobody's: the guest may be using those pages.
    private func release(hint address: GuestAddress, lengthBytes: UInt64, _ memory: GuestMemory) {
        guard hints.isRunning else { return }
        do throws(GuestMemoryError) {
            metrics.hintedRanges.add()
            let released = try memory.discard(address, lengthBytes: lengthBytes)
            metrics.hintedBytes.add(released)
            metrics.releasedBytes.add(released)
        } catch { metrics.invalidPages.add() }
    }
}
