import CLinux

/// One system call that waits for an answer. Source: `struct seccomp_notif`, linux/seccomp.h.
public struct AskedCall: Sendable {
    public let id: UInt64
    public let number: UInt32
    public let arguments: [UInt64]
}

/// The other end of a filter that asks: for tests that record which calls are made.
public struct FilterListener: ~Copyable {
    public let descriptor: FileDescriptor

    public init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }

    /// The next call; waits for it. Nil when its thread has gone meanwhile.
    public func next() throws(LinuxError) -> AskedCall? {
        // 80 bytes: id, pid, flags; then as the filter sees it number, architecture, address, six arguments.
        var record = InlineArray<10, UInt64>(repeating: 0)
        var span = record.mutableSpan
        do throws(LinuxError) {
            // SECCOMP_IOCTL_NOTIF_RECV. SAFETY: the kernel fills the record during the call.
            _ = unsafe try span.withUnsafeMutableBytes { bytes throws(LinuxError) in
                unsafe try systemCallRestarting(
                    __NR_ioctl, Int(descriptor.number), 0xc050_2100, Int(bitPattern: bytes.baseAddress))
            }
        } catch {
            if error.number == ENOENT { return nil }
            throw error
        }
        return AskedCall(
            id: record[0], number: UInt32(truncatingIfNeeded: record[2]),
            arguments: [record[4], record[5], record[6], record[7], record[8], record[9]])
    }

    /// Lets the call be made.
    public func letThrough(_ call: AskedCall) {
        // 24 bytes: id, value, error, flags: SECCOMP_USER_NOTIF_FLAG_CONTINUE.
        var answer: (UInt64, UInt64, UInt64) = (call.id, 0, 1 << 32)
        let number = descriptor.number
        // SECCOMP_IOCTL_NOTIF_SEND. SAFETY: the kernel reads the answer during the call.
        unsafe withUnsafeMutablePointer(to: &answer) { answer in
            _ = linux_system_call(Int(__NR_ioctl), Int(number), 0xc018_2101, Int(bitPattern: answer), 0, 0, 0)
        }
    }
}
