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
