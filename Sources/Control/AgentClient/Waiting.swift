import CLinux
import LinuxCalls

/// One descriptor to wait for, and what it turned out to be ready for. Laid out as `struct pollfd`.
public struct PollEntry: Sendable {
    public var descriptor: Int32
    public var events: Int16
    public var returned: Int16 = 0

    /// Waits until the descriptor can be read, or its other end is gone.
    public init(reading descriptor: Int32) {
        self.descriptor = descriptor
        events = 0x001
    }

    /// Waits until the descriptor takes bytes, or its other end is gone.
    public init(writing descriptor: Int32) {
        self.descriptor = descriptor
        events = 0x004
    }

    public var isReady: Bool { returned != 0 }
    /// The descriptor can be read: bytes, an end of file, or an error that the next read will tell.
    public var isReadable: Bool { returned & (0x001 | 0x008 | 0x010) != 0 }
}

/// A moment on the monotonic clock after which waiting ends.
public struct Deadline: Sendable {
    /// `.max` is never.
    public let nanoseconds: UInt64
    /// Once it can be read, the deadline is over, whatever the time. Nobody reads it here.
    private var interruption: Int32 = -1

    public static let never = Deadline(nanoseconds: .max)

    private init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    public init(afterMilliseconds milliseconds: UInt64) {
        let (scaled, overflow) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
        let (sum, second) = Clock.monotonic.nanoseconds().addingReportingOverflow(scaled)
        nanoseconds = overflow || second ? .max : sum
    }

    public init(after duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let milliseconds = max(seconds, 0).multipliedReportingOverflow(by: 1000)
        self.init(
            afterMilliseconds: milliseconds.overflow
                ? .max : UInt64(milliseconds.partialValue) &+ UInt64(max(attoseconds, 0) / 1_000_000_000_000_000))
    }

    /// The same, but over as soon as that descriptor can be read.
    public func orReadable(_ descriptor: Int32) -> Deadline {
        var result = self
        result.interruption = descriptor
        return result
    }

    var isNever: Bool { nanoseconds == .max && interruption < 0 }
    fileprivate var interruptingEntries: [PollEntry] { interruption < 0 ? [] : [PollEntry(reading: interruption)] }

    private var isInterrupted: Bool {
        var entries = interruptingEntries
        return !entries.isEmpty && wait(for: &entries, until: Deadline(nanoseconds: 0)) > 0
    }

    /// Nanoseconds left, zero when it is over, nil when there is no end.
    public var remaining: UInt64? {
        if isInterrupted { return 0 }
        if nanoseconds == .max { return nil }
        let now = Clock.monotonic.nanoseconds()
        return now >= nanoseconds ? 0 : nanoseconds - now
    }

    public var isOver: Bool { remaining == 0 }

    /// Whichever comes first.
    public func earlier(_ other: Deadline) -> Deadline { nanoseconds <= other.nanoseconds ? self : other }
}

/// Waits until one of the descriptors is ready or the deadline is over. Entries with a negative descriptor are passed over.
/// - Returns: how many are ready; zero at the deadline, or when a signal came.
@discardableResult
public func wait(for entries: inout [PollEntry], until deadline: Deadline) -> Int {
    let interrupting = deadline.interruptingEntries
    entries += interrupting
    defer { entries.removeLast(interrupting.count) }
    for index in entries.indices { entries[index].returned = 0 }
    var time = __kernel_timespec()
    let remaining = deadline.remaining
    if let remaining {
        time.tv_sec = Int64(remaining / 1_000_000_000)
        time.tv_nsec = Int64(remaining % 1_000_000_000)
    }
    let count = entries.count
    // SAFETY: the kernel reads the time and fills the entries during the call; both outlive it.
    let result = unsafe entries.withUnsafeMutableBufferPointer { entries in
        unsafe withUnsafeMutablePointer(to: &time) { time in
            linux_system_call(
                Int(__NR_ppoll), Int(bitPattern: entries.baseAddress), count,
                remaining == nil ? 0 : Int(bitPattern: time), 0, 0, 0)
        }
    }
    let isInterrupted = !interrupting.isEmpty && entries.last?.isReady == true
    return max(0, isInterrupted ? result - 1 : result)
}

/// Waits for one descriptor.
public func waitUntilReadable(_ descriptor: Int32, until deadline: Deadline) -> Bool {
    var entries = [PollEntry(reading: descriptor)]
    while true {
        if wait(for: &entries, until: deadline) > 0 { return true }
        if deadline.isOver { return false }
    }
}
