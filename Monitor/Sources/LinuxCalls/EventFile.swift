import CLinux

/// An eventfd: a counter that one thread raises and another waits for.
public struct EventFile: ~Copyable, Sendable {
    public let descriptor: FileDescriptor

    public init() throws(LinuxError) {
        // SAFETY: no address is passed.
        descriptor = FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: unsafe try systemCall(__NR_eventfd2, 0, Int(O_CLOEXEC | O_NONBLOCK))))
    }

    /// Raises the counter by one.
    @inline(__always)
    public func signal() {
        var one: UInt64 = 1
        // SAFETY: the kernel reads eight bytes during the call. It can fail only when the counter is full, and a full
        // counter wakes the waiter just as well.
        unsafe withUnsafeMutablePointer(to: &one) { pointer in
            _ = linux_system_call(
                Int(__NR_write), Int(descriptor.number), Int(bitPattern: pointer), 8, 0, 0, 0)
        }
    }

    /// Takes the counter back to zero; returns what it was.
    @discardableResult @inline(__always)
    public func drain() -> UInt64 {
        var count: UInt64 = 0
        // SAFETY: the kernel fills eight bytes during the call.
        let result = unsafe withUnsafeMutablePointer(to: &count) { pointer in
            linux_system_call(Int(__NR_read), Int(descriptor.number), Int(bitPattern: pointer), 8, 0, 0, 0)
        }
        return result == 8 ? count : 0
    }
}
