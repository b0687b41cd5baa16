import LinuxCalls

/// What is to happen after a while, on the loop's thread: one timer for all.
final class Deadlines: EventHandler {
    private struct Entry {
        var id: UInt32
        var time: UInt64
        var body: () -> Void
    }

    private let timer: TimerFile
    private var entries: [Entry] = []
    private var lastID: UInt32 = 0

    init(_ loop: EventLoop) throws(LinuxError) {
        timer = try TimerFile()
        _ = try loop.add(timer.descriptor.number, .readable, handler: self)
    }

    /// Runs `body` once, unless it is cancelled before.
    @discardableResult
    func after(milliseconds: UInt64, _ body: @escaping () -> Void) -> UInt32 {
        lastID &+= 1
        entries.append(Entry(id: lastID, time: Clock.monotonic.nanoseconds() + milliseconds * 1_000_000, body: body))
        arm()
        return lastID
    }

    func cancel(_ id: UInt32) {
        entries.removeAll { $0.id == id }
        arm()
    }

    func handleEvent(token: UInt32, readiness: Readiness) {
        timer.drain()
        let now = Clock.monotonic.nanoseconds()
        let due = entries.filter { $0.time <= now }
        entries.removeAll { $0.time <= now }
        for entry in due { entry.body() }
        arm()
    }

    private func arm() {
        var next: UInt64?
        for entry in entries where next == nil || entry.time < next ?? 0 { next = entry.time }
        guard let next else {
            try? timer.arm(firstNanoseconds: 0)
            return
        }
        let now = Clock.monotonic.nanoseconds()
        try? timer.arm(firstNanoseconds: next > now ? next - now : 1)
    }
}
