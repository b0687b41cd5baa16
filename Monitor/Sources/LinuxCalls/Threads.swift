import CLinux

/// Starts a detached thread that runs `body` and then ends.
///
/// - Parameter stackBytes: address space reserved for the stack; only touched pages cost memory.
/// - Throws: EAGAIN or ENOMEM when the system has no room for a thread.
public func startThread(
    stackBytes: Int = 128 << 10, _ body: @escaping @Sendable () -> Void
) throws(LinuxError) {
    let box = unsafe Unmanaged.passRetained(ThreadBody(body))
    // SAFETY: the box is retained above and released once, by the new thread or, when there is none, here.
    let result = unsafe linux_thread_start(
        { context in
            guard let context = unsafe context else { return }
            unsafe Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().body()
        }, box.toOpaque(), stackBytes)
    if result < 0 {
        unsafe box.release()
        throw LinuxError(-result)
    }
}

private final class ThreadBody: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

/// The calling thread's number, as the kernel knows it.
public func currentThreadNumber() -> Int32 {
    Int32(truncatingIfNeeded: linux_system_call(Int(__NR_gettid), 0, 0, 0, 0, 0, 0))
}

/// Sends a signal to one thread of this process. A thread that is gone is no error.
public func signalThread(_ thread: Int32, _ signalNumber: Int32) {
    let process = linux_system_call(Int(__NR_getpid), 0, 0, 0, 0, 0, 0)
    _ = linux_system_call(Int(__NR_tgkill), process, Int(thread), Int(signalNumber), 0, 0, 0)
}

/// Ends the process at once, all threads with it; nothing is flushed.
public func exitProcess(_ status: Int32) -> Never {
    while true { _ = linux_system_call(Int(__NR_exit_group), Int(status), 0, 0, 0, 0, 0) }
}
