import CLinux

/// Page faults of this process that another one answers. Source: userfaultfd(2), ioctl_userfaultfd(2).
public enum UserFault {
    private static let interface: UInt = 0xc018_aa3f  // UFFDIO_API
    private static let register: UInt = 0xc020_aa00  // UFFDIO_REGISTER
    private static let unregister: UInt = 0x8010_aa01  // UFFDIO_UNREGISTER

    /// Makes the descriptor for who answers: it reads faults there, and puts pages in their places.
    /// - Throws: EPERM or ENOENT when this user may not: the sysctl vm.unprivileged_userfaultfd, or access to
    ///   `/dev/userfaultfd`.
    public static func make() throws(LinuxError) -> FileDescriptor {
        let flags = O_CLOEXEC | O_NONBLOCK
        let descriptor: FileDescriptor
        do throws(LinuxError) {
            // SAFETY: no address is passed.
            descriptor = FileDescriptor(
                owning: Int32(truncatingIfNeeded: unsafe try systemCall(__NR_userfaultfd, Int(flags))))
        } catch {
            guard error.number == EPERM else { throw error }
            let device = try open("/dev/userfaultfd", .readWrite)
            // SAFETY: no address is passed. USERFAULTFD_IOC_NEW is 0xaa00.
            descriptor = FileDescriptor(
                owning: Int32(
                    truncatingIfNeeded: unsafe try systemCall(
                        __NR_ioctl, Int(device.number), 0xaa00, Int(flags))))
        }
        // struct uffdio_api: version, features, ioctls. UFFD_FEATURE_EVENT_REMOVE is 8: who answers hears of pages given back.
        var words: InlineArray<3, UInt64> = [0xaa, 8, 0]
        try control(descriptor.number, interface, &words)
        return descriptor
    }

    /// From now on a page of the range that is not there waits for an answer.
    /// - Parameter range: anonymous memory, whole pages.
    @unsafe public static func begin(
        _ descriptor: Int32, _ range: UnsafeRawBufferPointer
    ) throws(LinuxError) {
        // struct uffdio_register: start, length, mode (1 for pages that are missing), ioctls.
        var words: InlineArray<4, UInt64> = [
            UInt64(UInt(bitPattern: range.baseAddress)), UInt64(range.count), 1, 0,
        ]
        try control(descriptor, register, &words)
    }

    /// Nobody waits any more: pages of the range that are not there are zeros.
    @unsafe public static func end(_ descriptor: Int32, _ range: UnsafeRawBufferPointer) {
        var words: InlineArray<2, UInt64> = [UInt64(UInt(bitPattern: range.baseAddress)), UInt64(range.count)]
        try? control(descriptor, unregister, &words)
    }

    private static func control<let count: Int>(
        _ descriptor: Int32, _ request: UInt, _ words: inout InlineArray<count, UInt64>
    ) throws(LinuxError) {
        var span = words.mutableSpan
        // SAFETY: each request is given as many words as its structure has, and the kernel touches them during the call.
        _ = unsafe try span.withUnsafeMutableBytes { bytes throws(LinuxError) in
            unsafe try systemCallRestarting(
                __NR_ioctl, Int(descriptor), Int(bitPattern: request), Int(bitPattern: bytes.baseAddress))
        }
    }
}
