import LinuxCalls
import Synchronization
import Testing

private final class Counter: EventHandler {
    let event: EventFile
    let loop: EventLoop
    var tokens: [UInt32] = []
    var registration: EventRegistration?

    init(_ loop: EventLoop) throws {
        self.loop = loop
        event = try EventFile()
    }

    func handleEvent(token: UInt32, readiness: Readiness) {
        tokens.append(token)
        event.drain()
        if tokens.count == 2 { loop.stop() }
        if tokens.count == 1 { event.signal() }
    }
}

@Suite struct EventLoopTests {
    @Test func `a handler hears of each event with its own token`() throws {
        let loop = try EventLoop()
        let counter = try Counter(loop)
        counter.registration = try loop.add(counter.event.descriptor.number, .readable, handler: counter, token: 7)
        counter.event.signal()
        loop.run()
        #expect(counter.tokens == [7, 7])
    }

    @Test func `perform runs on the loop's thread and waits`() throws {
        let loop = try EventLoop()
        try startThread { loop.run() }
        let caller = currentThreadNumber()
        var seen: Int32 = caller
        for _ in 0..<100 { loop.perform { seen = currentThreadNumber() } }
        #expect(seen != caller)
        loop.stop()
        // After the end it still runs, on the caller's thread.
        loop.perform { seen = 0 }
        #expect(seen == 0)
    }

    /// A thread that is held up until it is set free, and what has happened meanwhile.
    private final class Hold: Sendable {
        let isBegun = Atomic<Bool>(false)
        let isFree = Atomic<Bool>(false)
        let events = Mutex<[String]>([])

        func note(_ event: String) { events.withLock { $0.append(event) } }
        var noted: [String] { events.withLock { $0 } }

        func holdUp() {
            isBegun.store(true, ordering: .releasing)
            while !isFree.load(ordering: .acquiring) { sleep(nanoseconds: 1_000_000) }
        }
    }

    @Test func `nobody has to wait for ever for a thread that is held up`() throws {
        let loop = try EventLoop()
        let hold = Hold()
        try startThread { loop.run() }
        // One that is let go while its call is at work, and one that comes too late.
        try startThread {
            let isDone = loop.perform {
                hold.holdUp()
                hold.note("held")
            }
            hold.note(isDone ? "done" : "let go")
        }
        while !hold.isBegun.load(ordering: .acquiring) { sleep(nanoseconds: 1_000_000) }
        #expect(!loop.perform(patienceMilliseconds: 20) { hold.note("limited") })
        #expect(hold.noted.isEmpty)
        loop.letCallersGo(true)
        while hold.noted.isEmpty { sleep(nanoseconds: 1_000_000) }
        #expect(hold.noted == ["let go"])
        #expect(!loop.perform { hold.note("late") })
        loop.letCallersGo(false)
        // What was asked for is done when the thread comes to it, and who waits without an end learns of it.
        hold.isFree.store(true, ordering: .releasing)
        #expect(loop.perform { hold.note("last") })
        #expect(hold.noted == ["let go", "held", "limited", "late", "last"])
        loop.stop()
    }

    @Test func `a removed descriptor is not heard of again`() throws {
        let loop = try EventLoop()
        let first = try Counter(loop)
        let registration = try loop.add(first.event.descriptor.number, .readable, handler: first)
        first.event.signal()
        loop.remove(registration, first.event.descriptor.number)
        loop.remove(registration, first.event.descriptor.number)
        loop.stop()
        loop.run()
        #expect(first.tokens.isEmpty)
    }

    @Test func `a name with a zero byte is refused`() {
        #expect(throws: LinuxError(22)) { _ = try open("/dev/null\0/x", .readOnly).release() }
    }

    @Test func `a lock lets one thread in at a time`() throws {
        final class Shared: @unchecked Sendable {
            let lock = FutexLock()
            var total = 0
            let running = Atomic<UInt32>(4)
        }
        let shared = Shared()
        for _ in 0..<4 {
            try startThread {
                for _ in 0..<10_000 { shared.lock.withLock { shared.total += 1 } }
                shared.running.subtract(1, ordering: .releasing)
                wakeWaiters(shared.running, count: 1)
            }
        }
        while true {
            let left = shared.running.load(ordering: .acquiring)
            if left == 0 { break }
            waitOnAddress(shared.running, while: left)
        }
        #expect(shared.total == 40_000)
    }
}
