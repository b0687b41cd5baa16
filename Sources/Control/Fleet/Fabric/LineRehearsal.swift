public import AgentClient
import FabricProtocol

/// How long somebody waits until an appliance is ready, unless a signal ends that.
public struct ReadinessPatience: Sendable {
    public static let mostSeconds = Double(FabricRequest.mostMilliseconds) / 1000

    let milliseconds: UInt32
    let signals: SignalWatcher

    /// - Parameter seconds: at most `mostSeconds`.
    public init(seconds: Double, signals: SignalWatcher) {
        milliseconds = UInt32(min(max(0, seconds), Self.mostSeconds) * 1000)
        self.signals = signals
    }
}

/// What a change of what is in wires would ask the fabric for.
final class LineRehearsal {
    /// Nil: nothing, for nothing runs there.
    var change: FabricChange?
}

extension MachineFleet {
    /// Changes what is in wires, when whoever comes into one is ready. Until then others may change theirs: it is found out what would be
    /// changed, waited for that, and done by what is there by then.
    /// - Parameter body: is called twice.
    func withReadyLines(
        _ patience: ReadinessPatience, _ body: (Lines) throws(FleetError) -> Void
    ) throws(FleetError) {
        let rehearsal = LineRehearsal()
        try withLines { lines throws(FleetError) in
            var lines = lines
            lines.rehearsal = rehearsal
            try body(lines)
        }
        if let change = rehearsal.change, let launcher = try Lines.launcher(store) {
            try FabricControl(launcher: launcher, store: store).makeReady(change, patience)
        }
        try withLines(body)
    }
}
