public import LinuxCalls
import VirtioQueues

/// Standing still, and going on: in this process, or from a snapshot in another one. The guest's processors stand still
/// during all of it.
extension VirtioMMIOTransport {
    /// The device finishes what is at work and has no events until `resume`; guest memory and the driver's registers keep
    /// as they are.
    public func pause() {
        device.loop.perform { [self] in
            device.settle()
            device.loop.suspend(device)
        }
    }

    /// The device goes on where it stood.
    public func resume() throws(LinuxError) {
        var failure: LinuxError?
        device.loop.perform { [self] in
            do throws(LinuxError) { try device.loop.resume(device) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// What a paused device needs to go on elsewhere.
    public func save() throws(TransportStateError) -> TransportState {
        var own: [UInt64]?
        var positions: [QueuePosition?] = []
        device.loop.perform { [self] in
            own = device.ownState
            positions = device.queuePositions
        }
        guard let own else { throw .cannotBeKept(device.kind) }
        var state = TransportState()
        state.kind = device.kind.rawValue
        state.pendingReasons = interrupt.pendingReasons
        state.configurationGeneration = interrupt.configurationGeneration
        state.isResetNeeded = interrupt.isResetNeeded
        state.own = own
        let registers = lock.withLock { self.registers }
        state.status = registers.status.rawValue
        state.deviceFeaturesSelect = registers.deviceFeaturesSelect
        state.driverFeaturesSelect = registers.driverFeaturesSelect
        state.driverFeatures = registers.driverFeatures
        state.queueSelect = registers.queueSelect
        for (index, queue) in registers.queues.enumerated() {
            var saved = TransportState.Queue()
            saved.size = queue.size
            saved.isReady = queue.isReady
            saved.descriptorTable = queue.descriptorTable
            saved.availableRing = queue.availableRing
            saved.usedRing = queue.usedRing
            if index < positions.count, let position = positions[index] { saved.position = position }
            state.queues.append(saved)
        }
        return state
    }

    /// Puts a fresh device into a saved state and lets it serve, if it did.
    /// - Throws: when the state is not one that this device can be in; the device is as after a reset then.
    public func restore(_ state: TransportState) throws(TransportStateError) {
        try judge(state)
        do throws(DeviceStateError) { try device.restore(ownState: state.own) } catch { throw .device(error) }
        let status = DeviceStatus(rawValue: state.status)
        lock.withLock {
            registers.status = status
            registers.deviceFeaturesSelect = state.deviceFeaturesSelect
            registers.driverFeaturesSelect = state.driverFeaturesSelect
            registers.driverFeatures = state.driverFeatures
            registers.queueSelect = state.queueSelect
            for (index, saved) in state.queues.enumerated() {
                registers.queues[index].size = saved.size
                registers.queues[index].isReady = saved.isReady
                registers.queues[index].descriptorTable = saved.descriptorTable
                registers.queues[index].availableRing = saved.availableRing
                registers.queues[index].usedRing = saved.usedRing
            }
        }
        interrupt.restore(
            reasons: state.pendingReasons, generation: state.configurationGeneration,
            isResetNeeded: state.isResetNeeded)
        // A device that waits for its reset serves no more.
        guard status.contains(.driverOK), !status.contains(.failed), !state.isResetNeeded else { return }
        lock.withLock { registers.isChanging = true }
        activate(makeActivation(positions: state.queues.map { $0.position }))
    }

    private func judge(_ state: TransportState) throws(TransportStateError) {
        guard state.kind == device.kind.rawValue else { throw .kind(saved: state.kind, now: device.kind) }
        let status = DeviceStatus(rawValue: state.status)
        guard status.isInOrder, !status.contains(.deviceNeedsReset), state.pendingReasons & ~3 == 0 else {
            throw .malformed
        }
        if status.contains(.featuresOK) {
            let missing = state.driverFeatures & ~offeredFeatures
            guard missing == 0 else { throw .features(missing) }
            guard state.driverFeatures & QueueFeatures.version1 != 0 else { throw .malformed }
        }
        guard state.queues.count == device.maximumQueueSizes.count else { throw .queues }
        // A queue that the driver broke may have been left with chains in flight.
        for queue in state.queues
        where queue.position.nextAvailable != queue.position.nextUsed && !state.isResetNeeded { throw .malformed }
    }
}
