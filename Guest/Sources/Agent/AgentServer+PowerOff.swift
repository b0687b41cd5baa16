import AgentProtocol
import LinuxCalls

extension AgentServer {
    /// Ends all processes, and then the machine.
    func begin(_ request: PowerOff) {
        guard powerOff == nil else { return }
        powerOff = request
        // Held programs could not take their leave.
        if let hold { letGo(hold) }
        if request.graceMilliseconds > 0 {
            signalAll(SignalNumber.terminate)
            deadlines.after(milliseconds: UInt64(request.graceMilliseconds)) { self.killAll() }
        } else {
            killAll()
        }
        reap()
    }

    private func killAll() {
        signalAll(SignalNumber.kill)
        // One that hangs in the kernel does not keep the machine from ending.
        deadlines.after(milliseconds: 2000) { self.finishPowerOff() }
    }

    private func signalAll(_ number: Int32) {
        if Children.own == 1 {
            try? Children.signal(-1, number)
        } else {
            for process in processes where !process.hasEnded {
                try? Children.signal(-process.processIdentifier, number)
            }
        }
    }

    func finishPowerOff() {
        guard let request = powerOff else { return }
        for listener in relayListeners { listener.close() }
        guard role != .tool else { return loop.stop() }
        system.leave()
        SystemControl.end(request.mode == .powerOff && system.canPowerOff ? .powerOff : .restart)
        loop.stop()
    }
}
