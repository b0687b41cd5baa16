import AgentProtocol
import LinuxCalls

/// Programs stopped by SIGSTOP, where the kernel has no freezer. A parent that waits for stopped children sees it.
final class SignalledPrograms: StoppedPrograms {
    /// Nil: every program there is; otherwise those of these sessions alone.
    private let sessions: [Int32]?
    private var stopped: [Int32] = []

    init(sessions: [Int32]?) { self.sessions = sessions }

    func proceed() -> Int? {
        let own = Children.own
        var isStill = true
        for process in ProcessFacts.all() where process != own {
            guard let facts = ProcessFacts(process), !facts.isKernelThread, sessions?.contains(facts.session) ?? true
            else { continue }
            switch facts.state {
            // Stopped (by this or before), or ending.
            case UInt8(ascii: "T"), UInt8(ascii: "t"), UInt8(ascii: "Z"), UInt8(ascii: "X"): continue
            default: isStill = false
            }
            if stopped.contains(process) { continue }
            if (try? Children.signal(process, SignalNumber.stop)) != nil { stopped.append(process) }
        }
        return isStill ? stopped.count : nil
    }

    func letGo() {
        for process in stopped { try? Children.signal(process, SignalNumber.proceed) }
        stopped = []
    }
}
