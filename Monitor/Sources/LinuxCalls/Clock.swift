import CLinux

/// The kernel's clocks. Source: clock_gettime(2).
public enum Clock: Int, Sendable {
    case realTime = 0
    case monotonic = 1
    /// Processor time that this process has used.
    case processor = 2
    case bootTime = 7

    /// The time now, in nanoseconds since the clock's own beginning.
    public func nanoseconds() -> UInt64 {
        var time = __kernel_timespec()
        // SAFETY: the kernel fills the structure during the call; these clocks always exist.
        unsafe withUnsafeMutablePointer(to: &time) { pointer in
            _ = linux_system_call(Int(__NR_clock_gettime), rawValue, Int(bitPattern: pointer), 0, 0, 0, 0)
        }
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}

/// Sleeps at least this long; a signal may end it early.
public func sleep(nanoseconds: UInt64) {
    var time = __kernel_timespec()
    time.tv_sec = Int64(nanoseconds / 1_000_000_000)
    time.tv_nsec = Int64(nanoseconds % 1_000_000_000)
    // SAFETY: the kernel reads the structure during the call.
    unsafe withUnsafeMutablePointer(to: &time) { pointer in
        _ = linux_system_call(Int(__NR_nanosleep), Int(bitPattern: pointer), 0, 0, 0, 0, 0)
    }
}

/// A timerfd on the monotonic clock.
public struct TimerFile: ~Copyable, Sendable {
    public let descriptor: FileDescriptor

    public init() throws(LinuxError) {
        // SAFETY: no address is passed.
        descriptor = FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: unsafe try systemCall(
                    __NR_timerfd_create, Clock.monotonic.rawValue, Int(O_CLOEXEC | O_NONBLOCK))))
    }

    /// Fires after `firstNanoseconds` (0 disarms), and then every `intervalNanoseconds` (0: once).
    public func arm(firstNanoseconds: UInt64, intervalNanoseconds: UInt64 = 0) throws(LinuxError) {
        // struct itimerspec: interval, then first expiry.
        var specification = (__kernel_timespec(), __kernel_timespec())
        specification.0.tv_sec = Int64(intervalNanoseconds / 1_000_000_000)
        specification.0.tv_nsec = Int64(intervalNanoseconds % 1_000_000_000)
        specification.1.tv_sec = Int64(firstNanoseconds / 1_000_000_000)
        specification.1.tv_nsec = Int64(firstNanoseconds % 1_000_000_000)
        let number = descriptor.number
        // SAFETY: the kernel reads the structure during the call.
        unsafe try withUnsafeMutablePointer(to: &specification) { pointer throws(LinuxError) in
            _ = unsafe try systemCall(__NR_timerfd_settime, Int(number), 0, Int(bitPattern: pointer), 0)
        }
    }

    /// How often it has fired since the last call.
    @discardableResult
    public func drain() -> UInt64 {
        var count: UInt64 = 0
        // SAFETY: the kernel fills eight bytes during the call.
        let result = unsafe withUnsafeMutablePointer(to: &count) { pointer in
            linux_system_call(Int(__NR_read), Int(descriptor.number), Int(bitPattern: pointer), 8, 0, 0, 0)
        }
        return result == 8 ? count : 0
    }
}

/// Nanoseconds of processor time that a thread of this process has used; zero for one that is gone.
public func threadProcessorTime(_ thread: Int32) -> UInt64 {
    // Source: clock_gettime(2): a thread's clock is the complement of its number, shifted, with 6 for "thread, scheduler".
    let clock = Int(~thread << 3 | 6)
    var time = __kernel_timespec()
    // SAFETY: the kernel fills the structure during the call.
    let result = unsafe withUnsafeMutablePointer(to: &time) { pointer in
        linux_system_call(Int(__NR_clock_gettime), clock, Int(bitPattern: pointer), 0, 0, 0, 0)
    }
    return result < 0 ? 0 : UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}
