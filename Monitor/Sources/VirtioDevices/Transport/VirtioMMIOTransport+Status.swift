import LinuxCalls
import VirtioQueues

/// The driver's way from reset to DRIVER_OK and back. Source: virtio 1.3 §2.1, §3.1.1.
extension VirtioMMIOTransport {
    /// What a write to the status register leads to.
    private enum Step {
        case none
        case activate(DeviceActivation)
        case reset
    }

    /// The Status register.
    public var status: DeviceStatus {
        let status = lock.withLock { registers.status }
        return interrupt.isResetNeeded ? status.union(.deviceNeedsReset) : status
    }

    func writeStatus(_ wanted: DeviceStatus) {
        switch lock.withLock({ step(to: wanted) }) {
        case .none: break
        case .activate(let activation): activate(activation)
        case .reset: reset()
        }
    }

    /// Judges a write under the lock. A step out of order, and one that takes a bit away, is ignored.
    private func step(to wanted: DeviceStatus) -> Step {
        if wanted.isEmpty {
            if registers.isChanging {
                registers.isResetPending = true
                return .none
            }
            registers.isChanging = true
            return .reset
        }
        if registers.isChanging { return .none }
        let before = registers.status
        var after = wanted.subtracting(.deviceNeedsReset)
        guard after.isSuperset(of: before), after.isInOrder else { return .none }
        if after.contains(.featuresOK), !before.contains(.featuresOK), !areFeaturesAcceptable {
            // The driver learns it by reading the register again.
            after.subtract([.featuresOK, .driverOK])
        }
        registers.status = after
        guard after.contains(.driverOK), !before.contains(.driverOK) else { return .none }
        registers.isChanging = true
        return .activate(makeActivation())
    }

    private var areFeaturesAcceptable: Bool {
        registers.driverFeatures & ~offeredFeatures == 0 && registers.driverFeatures & QueueFeatures.version1 != 0
    }

    /// - Parameter positions: where each queue begins; none at all for the beginning.
    func makeActivation(positions: [QueuePosition] = []) -> DeviceActivation {
        var queues: [QueueActivation?] = []
        for (index, queue) in registers.queues.enumerated() {
            let position = index < positions.count ? positions[index] : QueuePosition()
            queues.append(
                queue.isReady
                    ? QueueActivation(layout: queue.layout, doorbell: doorbells[index], position: position) : nil)
        }
        return DeviceActivation(
            memory: memory, acceptedFeatures: registers.driverFeatures, queues: queues, interrupt: interrupt)
    }

    func activate(_ activation: DeviceActivation) {
        device.loop.perform { [self] in
            do throws(QueueError) {
                try device.activate(activation)
            } catch {
                device.reset()
                interrupt.signalNeedsReset()
            }
        }
        finishChange()
    }

    /// Resets the device and the register file; on return no guest memory is touched any more.
    private func reset() {
        device.loop.perform { [self] in
            device.reset()
            for doorbell in doorbells { doorbell.event.drain() }
        }
        interrupt.reset()
        lock.withLock {
            registers.clear()
            registers.isResetPending = false
            registers.isChanging = false
        }
    }

    private func finishChange() {
        let isResetPending = lock.withLock {
            if !registers.isResetPending { registers.isChanging = false }
            return registers.isResetPending
        }
        if isResetPending { reset() }
    }

    /// A write of 0 to QueueReady. One queue of a working device cannot be stopped alone (VIRTIO_F_RING_RESET is not
    /// offered), so the whole device stops and asks to be reset.
    func stopQueue() {
        let isWorking = lock.withLock {
            guard registers.status.contains(.driverOK) else {
                registers.writeQueue(.queueReady, 0)
                return false
            }
            guard !registers.isChanging, registers.stopSelectedQueue() else { return false }
            registers.isChanging = true
            return true
        }
        guard isWorking else { return }
        device.loop.perform { [self] in
            device.reset()
            interrupt.signalNeedsReset()
        }
        finishChange()
    }
}
