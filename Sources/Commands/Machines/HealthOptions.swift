import ArgumentParser
import Fleet
import FoundationEssentials

/// How a machine is asked after its health: by the image's check, unless something else is said.
struct HealthOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A line for the image's shell, or a JSON list of words: status 0 says that all is well.",
            valueName: "command"))
    var healthCmd: String?
    @Option(help: ArgumentHelp("Between two checks: 30s if not given.", valueName: "time")) var healthInterval: String?
    @Option(help: ArgumentHelp("How long a check may take: 30s.", valueName: "time")) var healthTimeout: String?
    @Option(help: ArgumentHelp("So many failures in a row make the machine unhealthy: 3.", valueName: "number"))
    var healthRetries: Int?
    @Option(help: ArgumentHelp("For so long failures do not count: 0s.", valueName: "time"))
    var healthStartPeriod: String?
    @Option(help: ArgumentHelp("The longest interval within that time: 5s.", valueName: "time"))
    var healthStartInterval: String?
    @Flag(name: .customLong("no-healthcheck"), help: "Do without the image's check.") var isLeftOut = false
    @Option(
        help: ArgumentHelp("What happens to an unhealthy machine: none, restart, stop.", valueName: "action"),
        completion: .list(UnhealthyAction.allCases.map(\.rawValue)))
    var healthOnFailure = UnhealthyAction.nothing.rawValue

    func overrides() throws -> HealthOverrides {
        var overrides = HealthOverrides()
        guard let action = UnhealthyAction(rawValue: healthOnFailure) else {
            throw CommandFailure(
                "usage.health",
                "\"\(healthOnFailure)\" is nothing to do; use none, restart or stop (--health-on-failure)")
        }
        guard healthCmd == nil || !isLeftOut else {
            throw CommandFailure("usage.health", "--health-cmd and --no-healthcheck say different things")
        }
        overrides.whenUnhealthy = action
        overrides.isLeftOut = isLeftOut
        overrides.command = try healthCmd.map { try Self.words($0) }
        overrides.intervalSeconds = try healthInterval.map { try Units.time($0, "--health-interval") }
        overrides.timeoutSeconds = try healthTimeout.map { try Units.time($0, "--health-timeout") }
        overrides.startPeriodSeconds = try healthStartPeriod.map { try Units.time($0, "--health-start-period") }
        overrides.startIntervalSeconds = try healthStartInterval.map { try Units.time($0, "--health-start-interval") }
        overrides.retries = healthRetries
        return overrides
    }

    /// A list of words in brackets is run as it is, anything else by the shell.
    static func words(_ text: String) throws(CommandFailure) -> [String] {
        guard text.hasPrefix("[") else {
            guard !text.isEmpty else {
                throw CommandFailure("usage.health", "an empty command checks nothing (--health-cmd)")
            }
            return HealthCheck.shell(text)
        }
        guard let words = try? JSONDecoder().decode([String].self, from: Data(text.utf8)), words.first?.isEmpty == false
        else {
            throw CommandFailure(
                "usage.health", #""\#(text)" is no list of words; write ["/bin/check", "--quick"] (--health-cmd)"#)
        }
        return words
    }
}
