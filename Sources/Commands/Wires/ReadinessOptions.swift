import AgentClient
import ArgumentParser
import Fleet

/// For commands that lead traffic through an appliance when it is ready.
struct ReadinessOptions: ParsableArguments {
    @Option(help: ArgumentHelp("How long the appliance is waited for until it is ready.", valueName: "time"))
    var wait = "10s"

    /// Signals end the waiting from here on.
    func patience() throws -> ReadinessPatience {
        let seconds = try Units.time(wait, "--wait")
        guard seconds <= ReadinessPatience.mostSeconds else {
            throw CommandFailure("usage.wait", "--wait takes up to 3m, not \(wait)")
        }
        return ReadinessPatience(seconds: seconds, signals: try SignalWatcher())
    }
}
