import CLinux
public import Synchronization

/// A lock for short critical sections: one atomic operation when free, a futex wait when not.
///
/// States: 0 free, 1 held, 2 held and somebody waits. No system call is to be made while holding it.
public struct FutexLock: ~Copyable, Sendable {
    @usableFromInline let state = Atomic<UInt32>(0)

    public init() {}

    /// Runs `body` while holding the lock.
    @inline(__always)
    public func withLock<R: ~Copyable, E>(_ body: () throws(E) -> R) throws(E) -> R {
        lock()
        defer { unlock() }
        return try body()
    }

    @inlinable
    public func lock() {
        if state.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged { return }
        while state.exchange(2, ordering: .acquiring) != 0 { waitOnAddress(state, while: 2) }
    }

    @inlinable
    public func unlock() {
        if state.exchange(0, ordering: .releasing) == 2 { wakeWaiters(state, count: 1) }
    }
}

/// Sleeps until the word is woken, unless it no longer has the value `expected`. May return for no reason.
public func waitOnAddress(_ word: borrowing Atomic<UInt32>, while expected: UInt32) {
    // SAFETY: the word is borrowed, so it stays where it is for the whole call.
    unsafe withUnsafePointer(to: word) { pointer in
        _ = linux_system_call(
            Int(__NR_futex), Int(bitPattern: pointer), Int(FUTEX_WAIT_PRIVATE), Int(expected), 0, 0, 0)
    }
}

/// The same, for so long at most.
public func waitOnAddress(_ word: borrowing Atomic<UInt32>, while expected: UInt32, milliseconds: UInt64) {
    var time = __kernel_timespec()
    time.tv_sec = Int64(milliseconds / 1000)
    time.tv_nsec = Int64(milliseconds % 1000) * 1_000_000
    // SAFETY: as above, and the kernel reads the time during the call.
    unsafe withUnsafePointer(to: word) { pointer in
        unsafe withUnsafeMutablePointer(to: &time) { time in
            _ = linux_system_call(
                Int(__NR_futex), Int(bitPattern: pointer), Int(FUTEX_WAIT_PRIVATE), Int(expected),
                Int(bitPattern: time), 0, 0)
        }
    }
}

/// Wakes at most `count` threads that sleep on the word.
public func wakeWaiters(_ word: borrowing Atomic<UInt32>, count: Int) {
    // SAFETY: as above.
    unsafe withUnsafePointer(to: word) { pointer in
        _ = linux_system_call(
            Int(__NR_futex), Int(bitPattern: pointer), Int(FUTEX_WAKE_PRIVATE), count, 0, 0, 0)
    }
}
