import CLinux
import Synchronization

/// What a descriptor is ready for, or is to be watched for. The bits are those of `epoll(7)`.
public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let readable = Readiness(rawValue: 0x001)
    public static let writable = Readiness(rawValue: 0x004)
    public static let error = Readiness(rawValue: 0x008)
    public static let hangUp = Readiness(rawValue: 0x010)
    public static let peerClosed = Readiness(rawValue: 0x2000)
    /// Report changes only, not states.
    public static let edgeTriggered = Readiness(rawValue: 1 << 31)
}

/// Something that owns descriptors watched by an `EventLoop`. Called on the loop's thread only.
public protocol EventHandler: AnyObject {
    /// - Parameter token: the number given at registration; tells a handler's descriptors apart.
    func handleEvent(token: UInt32, readiness: Readiness)
}

/// A watched descriptor, as its loop knows it.
public struct EventRegistration: Sendable, Equatable {
    let index: UInt32
    let generation: UInt32
}

/// One thread's wait for many descriptors.
///
/// Everything but `perform`, `letCallersGo` and `stop` belongs to the thread that calls `run` (or to its creator before that).
@safe public final class EventLoop: @unchecked Sendable {
    private struct Watch {
        var handler: (any EventHandler)?
        var token: UInt32
        var generation: UInt32
        var descriptor: Int32
        var interest: Readiness
        var isSuspended = false
    }

    /// How often who waits in `perform` looks whether to wait on.
    private static let glanceMilliseconds: UInt64 = 20

    private let epoll: FileDescriptor
    private let wake: EventFile
    private var watches: [Watch] = []
    private var freeIndexes: [UInt32] = []
    private var isStopping = false

    private let lock = FutexLock()
    private var jobs: [Job] = []
    private var isClosed = false
    private var isStopRequested = false
    private let threadNumber = Atomic<Int32>(0)
    private let letsCallersGo = Atomic<Bool>(false)

    public init() throws(LinuxError) {
        // SAFETY: no address is passed.
        epoll = FileDescriptor(
            owning: Int32(truncatingIfNeeded: unsafe try systemCall(__NR_epoll_create1, Int(O_CLOEXEC))))
        wake = try EventFile()
        try control(EPOLL_CTL_ADD, wake.descriptor.number, .readable, data: UInt64.max)
    }

    /// Watches a descriptor; the handler is kept alive until `remove`.
    public func add(
        _ descriptor: Int32, _ interest: Readiness, handler: any EventHandler, token: UInt32 = 0
    ) throws(LinuxError) -> EventRegistration {
        let index: UInt32
        if let free = freeIndexes.popLast() {
            index = free
        } else {
            index = UInt32(watches.count)
            watches.append(Watch(handler: nil, token: 0, generation: 0, descriptor: -1, interest: []))
        }
        let registration = EventRegistration(index: index, generation: watches[Int(index)].generation)
        do throws(LinuxError) {
            try control(EPOLL_CTL_ADD, descriptor, interest, data: data(registration))
        } catch {
            freeIndexes.append(index)
            throw error
        }
        watches[Int(index)].handler = handler
        watches[Int(index)].token = token
        watches[Int(index)].descriptor = descriptor
        watches[Int(index)].interest = interest
        watches[Int(index)].isSuspended = false
        return registration
    }

    /// Changes what a descriptor is watched for.
    public func modify(
        _ registration: EventRegistration, _ descriptor: Int32, _ interest: Readiness
    ) throws(LinuxError) {
        let index = Int(registration.index)
        guard index < watches.count, watches[index].generation == registration.generation else { return }
        watches[index].interest = interest
        if watches[index].isSuspended { return }
        try control(EPOLL_CTL_MOD, descriptor, interest, data: data(registration))
    }

    /// Keeps every event of a handler's descriptors from it until `resume`; none is lost. On the loop's thread.
    public func suspend(_ handler: any EventHandler) {
        for index in watches.indices where watches[index].handler === handler && !watches[index].isSuspended {
            watches[index].isSuspended = true
            try? control(EPOLL_CTL_DEL, watches[index].descriptor, [], data: 0)
        }
    }

    /// Lets a handler have its events again, those that came meanwhile among them: a descriptor that is watched anew
    /// tells what it is ready for, also when only changes are reported.
    /// - Throws: when the kernel does not take a descriptor back; the handler stays without that one.
    public func resume(_ handler: any EventHandler) throws(LinuxError) {
        for index in watches.indices where watches[index].handler === handler && watches[index].isSuspended {
            watches[index].isSuspended = false
            let registration = EventRegistration(index: UInt32(index), generation: watches[index].generation)
            try control(
                EPOLL_CTL_ADD, watches[index].descriptor, watches[index].interest, data: data(registration))
        }
    }

    /// Stops watching. Events already fetched for it are dropped.
    public func remove(_ registration: EventRegistration, _ descriptor: Int32) {
        let index = Int(registration.index)
        guard index < watches.count, watches[index].generation == registration.generation else { return }
        try? control(EPOLL_CTL_DEL, descriptor, [], data: 0)
        watches[index].handler = nil
        watches[index].generation &+= 1
        freeIndexes.append(registration.index)
    }

    /// Makes the calling thread the loop's own until another one runs it: `perform` does not wait for that then.
    public func adopt() { threadNumber.store(currentThreadNumber(), ordering: .releasing) }

    /// Ends what `adopt` began: `perform` waits for the thread that will run the loop.
    public func release() { threadNumber.store(0, ordering: .releasing) }

    /// Serves events until `stop`.
    public func run() {
        threadNumber.store(currentThreadNumber(), ordering: .releasing)
        defer { close() }
        while !isStopping { wait(timeoutMilliseconds: -1) }
    }

    /// Serves what is there and returns, after waiting for it at most so long (-1: forever). The calling thread becomes
    /// the loop's own. For tests, and for a thread that has other work beside.
    public func runOnce(timeoutMilliseconds: Int32 = 0) {
        threadNumber.store(currentThreadNumber(), ordering: .releasing)
        wait(timeoutMilliseconds: timeoutMilliseconds)
    }

    private func wait(timeoutMilliseconds: Int32) {
        let capacity = 16
        unsafe withUnsafeTemporaryAllocation(of: linux_epoll_event.self, capacity: capacity) { events in
            // SAFETY: the kernel fills at most `capacity` entries during the call.
            let count = linux_system_call(
                Int(__NR_epoll_pwait), Int(epoll.number), Int(bitPattern: events.baseAddress), capacity,
                Int(timeoutMilliseconds), 0, 0)
            guard count > 0 else { return }
            for position in 0..<count {
                let event = unsafe events[position]
                if event.data == .max { runJobs() } else { deliver(event.data, event.events) }
            }
        }
    }

    /// Runs `body` on the loop's thread and waits until it is done. After the loop has ended it runs here.
    ///
    /// - Parameter patienceMilliseconds: for how long is waited at most.
    /// - Returns: false when it was not done by then, or callers were let go. It is done later, should the thread ever come to
    ///   it.
    @discardableResult
    public func perform(patienceMilliseconds: UInt64 = .max, _ body: @escaping () -> Void) -> Bool {
        if threadNumber.load(ordering: .acquiring) == currentThreadNumber() {
            body()
            return true
        }
        return wait(for: Job(body), patienceMilliseconds: patienceMilliseconds)
    }

    // Apart, so that there is one of it and not one for each `body`.
    @inline(never)
    private func wait(for job: Job, patienceMilliseconds: UInt64) -> Bool {
        let isAccepted = lock.withLock {
            if isClosed { return false }
            jobs.append(job)
            return true
        }
        if !isAccepted {
            job.run()
            return true
        }
        wake.signal()
        let isPatient = patienceMilliseconds == .max
        let begin = isPatient ? 0 : Clock.monotonic.nanoseconds()
        while job.isDone.load(ordering: .acquiring) == 0 {
            waitOnAddress(job.isDone, while: 0, milliseconds: Self.glanceMilliseconds)
            if letsCallersGo.load(ordering: .acquiring) { break }
            if isPatient { continue }
            if (Clock.monotonic.nanoseconds() &- begin) / 1_000_000 >= patienceMilliseconds { break }
        }
        return job.isDone.load(ordering: .acquiring) != 0
    }

    /// While it is so, nobody waits in `perform`: for the end of a machine, when the loop's thread may be held up for ever.
    public func letCallersGo(_ isSo: Bool) { letsCallersGo.store(isSo, ordering: .releasing) }

    /// Makes `run` return soon. May be called from any thread.
    public func stop() {
        lock.withLock { isStopRequested = true }
        wake.signal()
    }

    private func runJobs() {
        wake.drain()
        let batch = lock.withLock {
            isStopping = isStopRequested
            let batch = jobs
            jobs = []
            return batch
        }
        for job in batch { job.run() }
    }

    private func deliver(_ data: UInt64, _ events: UInt32) {
        let index = Int(truncatingIfNeeded: data & 0xffff_ffff)
        guard index < watches.count, watches[index].generation == UInt32(data >> 32), !watches[index].isSuspended
        else { return }
        watches[index].handler?.handleEvent(token: watches[index].token, readiness: Readiness(rawValue: events))
    }

    private func close() {
        let rest = lock.withLock {
            isClosed = true
            let rest = jobs
            jobs = []
            return rest
        }
        for job in rest { job.run() }
        // Handlers and loop hold each other until here.
        watches = []
    }

    private func data(_ registration: EventRegistration) -> UInt64 {
        UInt64(registration.generation) << 32 | UInt64(registration.index)
    }

    private func control(
        _ operation: Int32, _ descriptor: Int32, _ interest: Readiness, data: UInt64
    ) throws(LinuxError) {
        var event = linux_epoll_event(events: interest.rawValue, data: data)
        let epoll = epoll.number
        // SAFETY: the kernel reads the structure during the call.
        unsafe try withUnsafeMutablePointer(to: &event) { pointer throws(LinuxError) in
            _ = unsafe try systemCall(
                __NR_epoll_ctl, Int(epoll), Int(operation), Int(descriptor), Int(bitPattern: pointer))
        }
    }
}

/// One call handed to a loop's thread.
private final class Job: @unchecked Sendable {
    /// Of the loop's thread.
    private var body: (() -> Void)?
    let isDone = Atomic<UInt32>(0)

    init(_ body: @escaping () -> Void) { self.body = body }

    func run() {
        body?()
        body = nil
        isDone.store(1, ordering: .releasing)
        wakeWaiters(isDone, count: 1)
    }
}
