/// When a program that has ended is to be run again, in a machine that boots anew.
public struct RestartPolicy: Codable, Equatable, Sendable, CustomStringConvertible {
    public enum When: String, Codable, Sendable {
        case no
        /// Its exit status is not 0, or its machine failed under it.
        case onFailure = "on-failure"
        case always
        /// As `always`: a machine that `stop` has ended is never begun again, and none outlives this computer.
        case unlessStopped = "unless-stopped"
    }

    public var when = When.no
    /// How often at most; nil for as often as it takes.
    public var mostRestarts: Int?

    public init() {}

    /// Reads `no`, `on-failure`, `on-failure:5`, `always`, `unless-stopped`.
    public init(parsing text: String) throws(FleetError) {
        let halves = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard halves.count <= 2, let when = When(rawValue: halves[0]) else { throw Self.unreadable(text) }
        self.when = when
        if halves.count == 2 {
            guard when == .onFailure, let count = Int(halves[1]), (1...1_000_000).contains(count) else {
                throw Self.unreadable(text)
            }
            mostRestarts = count
        }
    }

    private static func unreadable(_ text: String) -> FleetError {
        FleetError(
            .invalidSetting,
            "\"\(text)\" is no restart policy; use no, on-failure, on-failure:TIMES, always or unless-stopped (--restart)"
        )
    }

    public var description: String { when.rawValue + (mostRestarts.map { ":\($0)" } ?? "") }

    /// - Parameters:
    ///   - exitStatus: the program's; nil when its machine failed.
    ///   - restarts: how often it has been run again so far.
    func wantsAnother(exitStatus: Int32?, restarts: Int) -> Bool {
        switch when {
        case .no: false
        case .always, .unlessStopped: true
        case .onFailure: exitStatus != 0 && restarts < mostRestarts ?? .max
        }
    }
}

/// How long to wait before the next start: longer each time, from the beginning once a program has stayed.
struct RestartBackOff {
    static let firstSeconds = 0.1
    static let longestSeconds = 60.0
    /// A program that ran that long is believed to have worked.
    static let stayedSeconds = 10.0

    private var nextSeconds = firstSeconds

    mutating func next(afterRunningSeconds ran: Double) -> Double {
        if ran >= Self.stayedSeconds { nextSeconds = Self.firstSeconds }
        defer { nextSeconds = min(nextSeconds * 2, Self.longestSeconds) }
        return nextSeconds
    }
}

/// One start after the first, for whoever asks what happened.
public struct RestartNote: Codable, Equatable, Sendable {
    /// So many are kept.
    static let most = 10
    /// When the run before it ended.
    public var seconds: Int64
    public var exitStatus: Int32?
    /// Why that run ended, if not by the program's own end.
    public var reason: String?
}
