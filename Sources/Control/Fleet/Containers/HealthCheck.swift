public import ImageStore

/// A program that is run in the machine again and again, and whose status 0 says that the machine does its work.
public struct HealthCheck: Codable, Equatable, Sendable {
    public var command: [String]
    public var intervalSeconds: Double = 30
    public var timeoutSeconds: Double = 30
    /// For so long after the program's start a failure counts for nothing, until the first success.
    public var startPeriodSeconds: Double = 0
    /// The longest interval within the start period, which begins with short ones.
    public var startIntervalSeconds: Double = 5
    /// So many failures in a row make the machine unhealthy.
    public var retries = 3

    public init(command: [String]) { self.command = command }

    /// How long to wait within the start period: a quarter of the time since the program's start, so that a machine which starts in
    /// milliseconds is known as healthy soon after, and one that takes minutes is not asked all the time.
    func earlyPauseSeconds(since begin: Double) -> Double { min(max(0.05, begin / 4), startIntervalSeconds) }

    /// What the image asks for; nil where it asks for none.
    public init?(_ image: ImageConfiguration.HealthCheck) throws(FleetError) {
        switch image.test.first {
        case "NONE", nil: return nil
        case "CMD" where image.test.count > 1: command = Array(image.test.dropFirst())
        case "CMD-SHELL" where image.test.count == 2: command = Self.shell(image.test[1])
        default:
            throw FleetError(
                .invalidSetting,
                "the image's health check begins with \"\(image.test[0].prefix(40))\"; CMD, CMD-SHELL and NONE are known. Leave it out with --no-healthcheck, or give another with --health-cmd"
            )
        }
        if let seconds = image.intervalSeconds { intervalSeconds = seconds }
        if let seconds = image.timeoutSeconds { timeoutSeconds = seconds }
        if let seconds = image.startPeriodSeconds { startPeriodSeconds = seconds }
        if let seconds = image.startIntervalSeconds { startIntervalSeconds = seconds }
        if let retries = image.retries { self.retries = retries }
    }

    public static func shell(_ line: String) -> [String] { ["/bin/sh", "-c", line] }

    /// Less would keep the machine busy with being asked.
    public static let leastSeconds = 0.1

    func check() throws(FleetError) {
        for (name, seconds) in [
            ("--health-interval", intervalSeconds), ("--health-timeout", timeoutSeconds),
            ("--health-start-interval", startIntervalSeconds),
        ] where !(seconds >= Self.leastSeconds && seconds <= 1e9) {
            throw FleetError(.invalidSetting, "a health check's \(name) is at least 100 ms, not \(seconds) s")
        }
        guard retries >= 1 else {
            throw FleetError(.invalidSetting, "a machine is unhealthy after 1 failure or more (--health-retries)")
        }
    }
}

/// What happens to a machine that has become unhealthy.
public enum UnhealthyAction: String, Codable, Sendable, CaseIterable {
    case nothing = "none"
    /// Its program is stopped, which is a failure; the restart policy does the rest.
    case restart
    /// Its program is stopped, for good.
    case stop
}

public enum HealthState: String, Codable, Sendable {
    /// Not yet known.
    case starting
    case healthy
    case unhealthy
}

/// What is known about a machine's health.
public struct HealthReport: Codable, Equatable, Sendable {
    /// One answer.
    public struct Check: Codable, Equatable, Sendable {
        static let mostOutputBytes = 4096
        public var started: String
        public var durationSeconds: Double
        /// Nil when the check did not run to its end.
        public var exitStatus: Int32?
        /// The first 4096 bytes of what it wrote, or why there is none.
        public var output: String
    }

    static let fileName = "health.json"
    private static let mostChecks = 5

    public var state = HealthState.starting
    public var failuresInARow = 0
    /// The last five, the newest last.
    public var checks: [Check] = []

    /// - Parameter counts: whether a failure does, which it does not in the start period.
    /// - Returns: whether the machine has just become unhealthy.
    mutating func add(_ check: Check, counts: Bool, retries: Int) -> Bool {
        checks = checks.suffix(Self.mostChecks - 1) + [check]
        if check.exitStatus == 0 {
            failuresInARow = 0
            state = .healthy
            return false
        }
        guard counts || state != .starting else { return false }
        failuresInARow += 1
        guard failuresInARow >= retries, state != .unhealthy else { return false }
        state = .unhealthy
        return true
    }
}
