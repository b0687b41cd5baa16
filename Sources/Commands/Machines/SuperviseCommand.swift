import AgentClient
import Fleet
import LinuxCalls

/// Owns one machine in the background. Not for people, and not parsed: it has one argument.
enum SuperviseCommand {
    static func run(_ arguments: [String]) -> Never {
        guard let id = arguments.first, arguments.count == 1, let signals = try? SignalWatcher() else {
            Output.error("swiftlet: supervise is for swiftlet itself; use `swiftlet run --detach`")
            exitProcess(CommandFailure.exitStatus)
        }
        Product.fleet.supervise(id, signals: signals)
        exitProcess(0)
    }
}
