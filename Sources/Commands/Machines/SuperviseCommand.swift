import AgentClient
import Fleet
import LinuxCalls

/// Owns one machine in the background. Not for people, and not parsed: it has one argument.
enum SuperviseCommand {
    static func run(_ arguments: [String]) -> Never {
        // Only `run --detach` starts it with a machine's lock and a pipe for the news.
        let isInherited = [3, 4].allSatisfy { (try? fileControl($0, 1)) != nil }
        guard let id = arguments.first, arguments.count == 1, isInherited, let signals = try? SignalWatcher() else {
            Output.error("swiftlet: supervise is for swiftlet itself; use `swiftlet run --detach`")
            exitProcess(CommandFailure.exitStatus)
        }
        Product.fleet.supervise(id, signals: signals) { SettingsCommit.answer($0) }
        exitProcess(0)
    }
}
