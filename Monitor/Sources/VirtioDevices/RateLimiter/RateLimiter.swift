import CLinux
public import LinuxCalls

/// Limits what a device does for its guest: bytes and operations apart, each by a bucket of tokens.
///
/// Belongs to the thread of the device's loop. Without limits it costs one comparison.
public final class RateLimiter {
    private let loop: EventLoop
    private var bytes: TokenBucket?
    private var operations: TokenBucket?
    private var isLimiting = false
    private var timer: TimerFile?
    /// Made, and not yet watched.
    private var spareTimer: TimerFile?
    private var registration: EventRegistration?
    private var isArmed = false
    /// Times that work had to wait.
    public let throttled = Counter()

    /// - Parameter loop: the device's.
    public init(loop: EventLoop) { self.loop = loop }

    /// Replaces the bucket of bytes; one with a size or time of zero limits nothing. On the loop's thread, as the rest.
    ///
    /// - Parameters:
    ///   - handler: called when work may go on after it had to wait, with `token`.
    ///   - token: the same at each call.
    public func setBytes(
        size: UInt64, burst: UInt64, refillMilliseconds: UInt64, handler: any EventHandler, token: UInt32
    ) throws(LinuxError) {
        bytes = Self.bucket(size, burst, refillMilliseconds)
        try change(handler, token)
    }

    /// The same for operations.
    public func setOperations(
        size: UInt64, burst: UInt64, refillMilliseconds: UInt64, handler: any EventHandler, token: UInt32
    ) throws(LinuxError) {
        operations = Self.bucket(size, burst, refillMilliseconds)
        try change(handler, token)
    }

    private static func bucket(_ size: UInt64, _ burst: UInt64, _ refillMilliseconds: UInt64) -> TokenBucket? {
        if size == 0 || refillMilliseconds == 0 { return nil }
        let (nanoseconds, overflow) = refillMilliseconds.multipliedReportingOverflow(by: 1_000_000)
        return TokenBucket(
            size: size, burst: burst, refillNanoseconds: overflow ? .max : nanoseconds,
            now: Clock.monotonic.nanoseconds())
    }

    /// Makes the timer, for who may make none when limits come: see `Jail`. With the same handler and token as they.
    public func prepare(handler: any EventHandler, token: UInt32) throws(LinuxError) {
        if timer != nil { return }
        try makeTimer()
        swap(&timer, &spareTimer)
        guard let number = timer?.descriptor.number else { return }
        registration = try loop.add(number, .readable, handler: handler, token: token)
    }

    /// The part of `prepare` that another thread does, before, where the loop's may make no timer.
    public func makeTimer() throws(LinuxError) { if spareTimer == nil { spareTimer = try TimerFile() } }

    /// Nothing is waited for any more, for good.
    func letGo() {
        if let registration, let number = timer?.descriptor.number { loop.remove(registration, number) }
        registration = nil
        timer = nil
        isLimiting = false
    }

    private func change(_ handler: any EventHandler, _ token: UInt32) throws(LinuxError) {
        isLimiting = bytes != nil || operations != nil
        if timer == nil {
            if !isLimiting { return }
            try prepare(handler: handler, token: token)
        }
        // Who waits for the old limits looks at the new ones.
        isArmed = true
        try timer?.arm(firstNanoseconds: 1)
    }

    /// The timer has fired: look again. To be called by the handler.
    func rewind() {
        isArmed = false
        timer?.drain()
    }

    /// Whether a piece of work may begin; if not, the handler is called when it may.
    @inline(__always)
    var isOpen: Bool { !isLimiting || hasTokens() }

    /// Whether work waits for the handler to be called.
    @inline(__always)
    var isWaiting: Bool { isArmed }

    /// Takes what one operation on so many bytes costs.
    @inline(__always)
    func spend(bytes count: UInt64) { if isLimiting { take(count) } }

    @inline(never)
    private func take(_ count: UInt64) {
        bytes?.spend(count)
        operations?.spend(1)
    }

    @inline(never)
    private func hasTokens() -> Bool {
        let now = Clock.monotonic.nanoseconds()
        bytes?.refill(now: now)
        operations?.refill(now: now)
        let wait = max(bytes?.waitNanoseconds ?? 0, operations?.waitNanoseconds ?? 0)
        if wait == 0 { return true }
        throttled.add()
        if !isArmed {
            isArmed = true
            // Not more often than a hundred thousand times a second.
            try? timer?.arm(firstNanoseconds: max(wait, 10_000))
        }
        return false
    }
}
