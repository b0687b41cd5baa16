import LegacyDevices
import LinuxCalls
import Snapshots

extension PlatformBus {
    /// What a snapshot keeps of the devices behind ports and of the interrupt controller; the processors stand still.
    func save() -> PlatformState {
        lock.lock()
        defer { lock.unlock() }
        var state = PlatformState()
        state.interruptController = interruptController.figures
        state.keyboardController = keyboardController.figures
        state.realTimeClock = realTimeClock.figures
        return state
    }

    /// Puts fresh devices into a saved state, and KVM's routes too.
    /// - Returns: false when it is not such devices' state; nothing is changed then.
    func restore(_ state: PlatformState) -> Bool {
        guard let interruptController = IOInterruptController(figures: state.interruptController),
            let keyboardController = KeyboardController(figures: state.keyboardController),
            let realTimeClock = RealTimeClock(figures: state.realTimeClock)
        else { return false }
        lock.lock()
        defer { lock.unlock() }
        self.interruptController = interruptController
        self.keyboardController = keyboardController
        self.realTimeClock = realTimeClock
        routeInterrupts()
        return true
    }
}
