import AgentClient
import LinuxCalls

/// How long a machine is watched after it has been changed.
public struct UpdateTrial: Sendable {
    public static let usualAliveSeconds = 10.0
    private static let leastHealthSeconds = 60.0
    private static let pollNanoseconds: UInt64 = 100_000_000

    /// Until when it must be healthy, where it is asked after that; nil for as long as its checks may take.
    public var healthSeconds: Double?
    /// How long its program must run, besides being healthy; nil for `usualAliveSeconds` where nobody asks after its health,
    /// and for no longer than until it is healthy else.
    public var aliveSeconds: Double?

    public init() {}

    /// As many checks as make a machine unhealthy, each as late and as long as may be.
    func limitSeconds(_ check: HealthCheck) -> Double {
        healthSeconds
            ?? max(
                Self.leastHealthSeconds,
                check.startPeriodSeconds + Double(check.retries) * (check.intervalSeconds + check.timeoutSeconds))
    }

    func judge(_ record: MachineRecord, _ store: MachineStore, signals: SignalWatcher?) throws -> UpdateVerdict {
        let check = record.specification.container.healthCheck
        let alive = aliveSeconds ?? (check == nil ? Self.usualAliveSeconds : 0)
        let limit = max(check.map(limitSeconds) ?? 0, alive)
        let (stay, deadline) = (Self.deadline(alive), Self.deadline(limit))
        while true {
            // In this order: who has lived until now is looked at now.
            let (hasStayed, isOver) = (stay.isOver, deadline.isOver)
            let present = try store.find(record.id)
            if let verdict = Self.verdict(present, store, hasStayed: hasStayed, isOver: isOver, limit) {
                return verdict
            }
            LinuxCalls.sleep(nanoseconds: Self.pollNanoseconds)
            while let signal = signals?.next() {
                if SignalWatcher.asksForTheEnd(signal) {
                    return .bad(reason: "it was not watched to the end: signal \(signal) came")
                }
            }
        }
    }

    private static func deadline(_ seconds: Double) -> Deadline {
        Deadline(after: .milliseconds(Int64(min(seconds, 1e9) * 1000)))
    }

    /// Nil as long as it is not known.
    /// - Parameters:
    ///   - hasStayed: it has run for as long as it must.
    ///   - isOver: the time is over in which it must be healthy.
    static func verdict(
        _ record: MachineRecord, _ store: MachineStore, hasStayed: Bool, isOver: Bool, _ limit: Double
    ) -> UpdateVerdict? {
        if record.state.isOver {
            if record.isStopped == true { return .stopped }
            return .bad(
                reason: record.failure ?? "its program ended with status \(record.exitStatus ?? 0)")
        }
        if record.restartCount ?? 0 > 0 {
            let last = record.restarts?.last
            return .bad(
                reason: last?.reason ?? "its program ended with status \(last?.exitStatus ?? 0) and had to be run again"
            )
        }
        if let damage = record.imageDamage {
            return .bad(reason: damage.message(image: record.specification.image))
        }
        if let failure = record.diskFailures?.first(where: \.isOfImage) {
            return .bad(reason: failure.message(image: record.specification.image))
        }
        guard record.specification.container.healthCheck != nil else { return hasStayed ? .good : nil }
        let health = store.health(record)
        let lines = health?.checks.last?.output.split(whereSeparator: \.isNewline)
        let answer = lines?.last.map { "; the last said: \($0)" }
        switch health?.state {
        case .healthy: return hasStayed ? .good : nil
        case .unhealthy: return .bad(reason: "its health check fails" + (answer ?? ""))
        default: return isOver ? .bad(reason: "it was not healthy within \(limit) s" + (answer ?? "")) : nil
        }
    }
}
