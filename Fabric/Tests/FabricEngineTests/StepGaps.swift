import LinuxCalls

/// How long a steady flow stood still at changes of each kind, and how long these took.
struct StepGaps {
    private let flow: NumberedFlow
    /// Microseconds, by the name of the change.
    private var gaps: [String: [UInt64]] = [:]
    private var times: [String: [UInt64]] = [:]

    init(_ flow: NumberedFlow) {
        self.flow = flow
        pause(300)
        _ = flow.takeLongestGap()
    }

    mutating func step(_ name: String, _ change: () throws -> Void) rethrows {
        _ = flow.takeLongestGap()
        let begin = Clock.monotonic.nanoseconds()
        try change()
        times[name, default: []].append((Clock.monotonic.nanoseconds() - begin) / 1000)
        pause(30)
        gaps[name, default: []].append(flow.takeLongestGap())
    }

    /// For comparison, after a step.
    mutating func stepWithoutChange() {
        pause(30)
        gaps["nothing", default: []].append(flow.takeLongestGap())
    }

    func show() {
        for name in gaps.keys.sorted() {
            let sorted = gaps[name, default: []].sorted()
            let time = times[name, default: []].sorted()
            report(
                "\(name): \(sorted.count) times, gap: median \(sorted[sorted.count / 2]) us, longest \(sorted[sorted.count - 1]) us"
                    + (time.isEmpty ? "" : "; takes \(time[time.count / 2]) us"))
        }
    }
}
