import CLinux

extension Children {
    /// Waits so long at most for that child to end, and has it killed then.
    /// - Returns: how it ended; nil when it had to be killed.
    public static func wait(for process: Int32, patienceNanoseconds: UInt64) throws(LinuxError) -> ChildEnd? {
        // SAFETY: no address is passed.
        let descriptor = FileDescriptor(
            owning: Int32(truncatingIfNeeded: unsafe try systemCall(__NR_pidfd_open, Int(process), 0)))
        let until = Clock.monotonic.nanoseconds() + patienceNanoseconds
        while true {
            let now = Clock.monotonic.nanoseconds()
            guard now < until else {
                try signal(process, SignalNumber.kill)
                _ = try wait(for: process)
                return nil
            }
            do throws(LinuxError) {
                if try isReadable(descriptor.number, patienceNanoseconds: until - now) {
                    return try wait(for: process)
                }
            } catch {
                if error != .interrupted { throw error }
            }
        }
    }

    /// Source: ppoll(2), POLLIN.
    private static func isReadable(
        _ descriptor: Int32, patienceNanoseconds: UInt64
    ) throws(LinuxError) -> Bool {
        // struct pollfd: descriptor (4 bytes), events (2), what came (2). struct timespec: seconds, nanoseconds.
        var watched = UInt64(UInt32(bitPattern: descriptor)) | 1 << 32
        var time = (Int(patienceNanoseconds / 1_000_000_000), Int(patienceNanoseconds % 1_000_000_000))
        // SAFETY: the kernel reads and writes the two during the call.
        return unsafe try withUnsafeMutablePointer(to: &watched) { watched throws(LinuxError) -> Bool in
            unsafe try withUnsafeMutablePointer(to: &time) { time throws(LinuxError) -> Bool in
                unsafe try systemCall(
                    __NR_ppoll, Int(bitPattern: watched), 1, Int(bitPattern: time), 0) > 0
            }
        }
    }
}
