import AgentClient
import LinuxCalls

/// How often a guest may have its settings kept: some at once, then one after the other.
///
/// Trust: the guest chooses when it asks. Who asks more often waits, and what he asks meanwhile is one request.
struct ProposalAllowance {
    static let atOnce: UInt64 = 5
    static let intervalNanoseconds: UInt64 = 30_000_000_000

    /// When all of them are there again.
    private var fullAt: UInt64 = 0

    /// How long to wait before the next may be taken; zero takes it.
    mutating func take(atNanoseconds now: UInt64) -> UInt64 {
        let owed = fullAt > now ? fullAt - now : 0
        let most = (Self.atOnce - 1) * Self.intervalNanoseconds
        guard owed <= most else { return owed - most }
        fullAt = max(fullAt, now) + Self.intervalNanoseconds
        return 0
    }
}

/// Does what a guest asks for, on a thread of the machine's owner, one request after the other.
final class ProposalWatch: Sendable {
    private static let stackBytes = 4 << 20
    private static let endMilliseconds: UInt64 = 90_000
    private let commit: @Sendable () -> Void
    private let asked: SharedEvent
    private let stop: SharedEvent
    private let done: SharedEvent

    /// - Parameter commit: called on this watch's thread.
    init(_ commit: @escaping @Sendable () -> Void) throws(LinuxError) {
        self.commit = commit
        asked = try SharedEvent()
        stop = try SharedEvent()
        done = try SharedEvent()
        try startThread(stackBytes: Self.stackBytes) { [self] in
            run()
            done.signal()
        }
    }

    /// The guest has asked.
    func ask() { asked.signal() }

    func end() {
        stop.signal()
        _ = waitUntilReadable(done.descriptor, until: Deadline(afterMilliseconds: Self.endMilliseconds))
    }

    private func run() {
        var allowance = ProposalAllowance()
        while true {
            var entries = [PollEntry(reading: stop.descriptor), PollEntry(reading: asked.descriptor)]
            wait(for: &entries, until: .never)
            if entries[0].isReady { return }
            guard entries[1].isReady else { continue }
            while true {
                let pause = allowance.take(atNanoseconds: Clock.monotonic.nanoseconds())
                if pause == 0 { break }
                let deadline = Deadline(afterMilliseconds: pause / 1_000_000 + 1)
                if waitUntilReadable(stop.descriptor, until: deadline) { return }
            }
            // Whoever asks from here on asks again.
            asked.drain()
            commit()
        }
    }
}
