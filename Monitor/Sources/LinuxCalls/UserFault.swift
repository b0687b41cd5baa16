import CLinux

/// Page faults of this process that another one, or another thread, answers. Source: userfaultfd(2), ioctl_userfaultfd(2).
public enum UserFault {
    private static let interface: UInt = 0xc018_aa3f  // UFFDIO_API
    private static let register: UInt = 0xc020_aa00  // UFFDIO_REGISTER
    private static let unregister: UInt = 0x8010_aa01  // UFFDIO_UNREGISTER

    private static let copy: UInt = 0xc028_aa03  // UFFDIO_COPY
    private static let zeros: UInt = 0xc020_aa04  // UFFDIO_ZEROPAGE
    private static let writeProtect: UInt = 0xc018_aa06  // UFFDIO_WRITEPROTECT

    /// What a descriptor tells, and what the kernel must have for it: bits of struct uffdio_api.
    public enum Feature {
        /// Who answers hears of pages that are given back, which waits for him then: UFFD_FEATURE_EVENT_REMOVE.
        public static let removals: UInt64 = 8
        /// Huge pages that are protected, Linux 5.19: UFFD_FEATURE_PAGEFAULT_FLAG_WP, UFFD_FEATURE_WP_HUGETLBFS_SHMEM.
        public static let protection: UInt64 = 0x1001
    }

    /// What waits for an answer: UFFDIO_REGISTER_MODE_MISSING and _WP.
    public enum Wait {
        public static let missing: UInt64 = 1
        public static let protected: UInt64 = 2
    }

    /// How many faults are told at once.
    public static let faultsAtOnce = 8

    /// Makes the descriptor for who answers: it reads faults there, and puts pages in their places.
    /// - Parameter features: bits of `Feature`.
    /// - Throws: EINVAL for what this kernel has not; EPERM or ENOENT when this user may not: the sysctl vm.unprivileged_userfaultfd, or access to
    ///   `/dev/userfaultfd`.
    public static func make(_ features: UInt64 = Feature.removals) throws(LinuxError) -> FileDescriptor {
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
        // struct uffdio_api: version, features, ioctls.
        var words: InlineArray<3, UInt64> = [0xaa, features, 0]
        try control(descriptor.number, interface, &words)
        return descriptor
    }

    /// From now on who touches a page of the range that is not there, or writes one that is protected, waits for an answer.
    /// - Parameters:
    ///   - range: anonymous memory or huge pages, whole ones.
    ///   - wait: one of `Wait`.
    @unsafe public static func begin(
        _ descriptor: Int32, _ range: UnsafeRawBufferPointer, _ wait: UInt64 = Wait.missing
    ) throws(LinuxError) {
        // struct uffdio_register: start, length, mode, ioctls.
        var words: InlineArray<4, UInt64> = [
            UInt64(UInt(bitPattern: range.baseAddress)), UInt64(range.count), wait, 0,
        ]
        try control(descriptor, register, &words)
    }

    /// Nobody waits any more: pages of the range that are not there are zeros.
    @unsafe public static func end(_ descriptor: Int32, _ range: UnsafeRawBufferPointer) {
        var words: InlineArray<2, UInt64> = [UInt64(UInt(bitPattern: range.baseAddress)), UInt64(range.count)]
        try? control(descriptor, unregister, &words)
    }

    /// Where somebody waits for a page, without waiting for that; only the first so many are addresses.
    public static func faults(_ descriptor: Int32) -> (addresses: InlineArray<8, UInt64>, count: Int) {
        // struct uffd_msg: 32 bytes, the event (0x12 is a page fault) in the first, at 16 the address.
        var words = InlineArray<32, UInt64>(repeating: 0)
        var span = words.mutableSpan
        // SAFETY: the kernel writes only inside the array, during the call.
        let result = unsafe span.withUnsafeMutableBytes { bytes in
            linux_system_call(
                Int(__NR_read), Int(descriptor), Int(bitPattern: bytes.baseAddress), bytes.count, 0, 0, 0)
        }
        var addresses = InlineArray<8, UInt64>(repeating: 0)
        var count = 0
        var message = 0
        while message < faultsAtOnce, (message + 1) * 32 <= result {
            if words[message * 4] & 0xff == 0x12 {
                addresses[count] = words[message * 4 + 2] & ~4095
                count += 1
            }
            message += 1
        }
        return (addresses, count)
    }

    /// Puts a page in its place, at once and as a whole, and lets go who waits for it. One that is there stays.
    /// - Parameters:
    ///   - offset: where the page lies in the room.
    ///   - address: where it belongs, in memory that was given to `begin`; the kernel puts pages nowhere else.
    public static func put(
        _ descriptor: Int32, _ room: borrowing ByteRoom, _ offset: Int, at address: UInt64
    ) throws(LinuxError) {
        // struct uffdio_copy: to, from, length, mode, how much was copied.
        var words: InlineArray<5, UInt64> = [
            address, UInt64(UInt(bitPattern: room.address(offset, 4096))), 4096, 0, 0,
        ]
        try place(descriptor, copy, &words)
    }

    /// Puts zeros in their places, as `put`.
    public static func putZeros(_ descriptor: Int32, at address: UInt64, lengthBytes: UInt64) throws(LinuxError) {
        // struct uffdio_zeropage: start, length, mode, how much was done.
        var words: InlineArray<4, UInt64> = [address, lengthBytes, 0, 0]
        try place(descriptor, zeros, &words)
    }

    /// As `put`, with a huge page that lies at `source`, in this process.
    public static func putHuge(_ descriptor: Int32, from source: UInt64, at address: UInt64) throws(LinuxError) {
        var words: InlineArray<5, UInt64> = [address, source, 2 << 20, 0, 0]
        try place(descriptor, copy, &words)
    }

    /// Protects pages from being written, or lets go who waits to write them.
    public static func protect(
        _ descriptor: Int32, _ isProtected: Bool, at address: UInt64, lengthBytes: UInt64
    ) throws(LinuxError) {
        // struct uffdio_writeprotect: start, length, mode (1 to protect).
        var words: InlineArray<3, UInt64> = [address, lengthBytes, isProtected ? 1 : 0]
        try control(descriptor, writeProtect, &words)
    }

    private static func place<let count: Int>(
        _ descriptor: Int32, _ request: UInt, _ words: inout InlineArray<count, UInt64>
    ) throws(LinuxError) {
        do throws(LinuxError) { try control(descriptor, request, &words) } catch {
            // There already; or nobody waits for pages there any more.
            guard error.number == EEXIST || error.number == ENOENT else { throw error }
        }
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
