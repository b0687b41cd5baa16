import CLinux

/// A range of this process's address space, unmapped when its owner lets go of it.
@safe @frozen public struct Mapping: ~Copyable, @unchecked Sendable {
    /// The first byte.
    public let base: UnsafeMutableRawPointer
    /// Where what was asked for begins: `base`, but for huge pages.
    public let start: UnsafeMutableRawPointer
    /// Rounded up to whole pages by the kernel.
    public let lengthBytes: Int

    /// Maps `lengthBytes` of a file, shared with everybody who maps it.
    public init(
        sharing descriptor: Int32, lengthBytes: Int, offset: UInt64 = 0, extraFlags: Int32 = 0
    ) throws(LinuxError) {
        // SAFETY: the kernel chooses the place, so nothing existing is replaced.
        let result = unsafe try systemCall(
            __NR_mmap, 0, lengthBytes, Int(PROT_READ | PROT_WRITE), Int(MAP_SHARED | extraFlags), Int(descriptor),
            Int(truncatingIfNeeded: offset))
        guard let base = unsafe UnsafeMutableRawPointer(bitPattern: result) else { throw LinuxError(ENOMEM) }
        unsafe self.base = base
        unsafe start = base
        self.lengthBytes = lengthBytes
    }

    /// Maps `lengthBytes` of a file of huge pages, shared with everybody who maps it; before them lies at least a page of
    /// nobody's. All are promised to this mapping: a page that the host's pool has not would end who touches it.
    /// - Throws: ENOMEM when the pool has not enough.
    public init(hugePagesOf descriptor: Int32, lengthBytes: Int, offset: UInt64) throws(LinuxError) {
        let large: UInt = 2 << 20
        let place = try Mapping(reservedBytes: lengthBytes + 2 * Int(large))
        let first = unsafe (UInt(bitPattern: place.base) + 4096 + large - 1) & ~(large - 1)
        // SAFETY: the range lies wholly in the place, where nothing is.
        unsafe try systemCall(
            __NR_mmap, Int(bitPattern: first), lengthBytes, Int(PROT_READ | PROT_WRITE),
            Int(MAP_SHARED | MAP_FIXED), Int(descriptor), Int(truncatingIfNeeded: offset))
        guard let start = unsafe UnsafeMutableRawPointer(bitPattern: first) else { throw LinuxError(ENOMEM) }
        self.lengthBytes = place.lengthBytes
        unsafe base = place.leak()
        unsafe self.start = start
    }

    /// Maps `lengthBytes` of a file; what is written stays this process's own. The file must be so long and stay so: a page
    /// that is gone when it is touched ends the process.
    public init(
        privately descriptor: Int32, lengthBytes: Int, offset: UInt64 = 0
    ) throws(LinuxError) {
        // SAFETY: as above.
        let result = unsafe try systemCall(
            __NR_mmap, 0, lengthBytes, Int(PROT_READ | PROT_WRITE), Int(MAP_PRIVATE | MAP_NORESERVE), Int(descriptor),
            Int(truncatingIfNeeded: offset))
        guard let base = unsafe UnsafeMutableRawPointer(bitPattern: result) else { throw LinuxError(ENOMEM) }
        unsafe self.base = base
        unsafe start = base
        self.lengthBytes = lengthBytes
    }

    /// Maps zeroed private memory.
    public init(anonymousBytes lengthBytes: Int) throws(LinuxError) {
        // SAFETY: as above.
        let result = unsafe try systemCall(
            __NR_mmap, 0, lengthBytes, Int(PROT_READ | PROT_WRITE), Int(MAP_PRIVATE | MAP_ANONYMOUS), -1, 0)
        guard let base = unsafe UnsafeMutableRawPointer(bitPattern: result) else { throw LinuxError(ENOMEM) }
        unsafe self.base = base
        unsafe start = base
        self.lengthBytes = lengthBytes
    }

    /// Maps zeroed private memory that the host is not asked to have ready: pages are taken as they are touched.
    public init(lazyBytes lengthBytes: Int) throws(LinuxError) {
        // SAFETY: as above.
        let result = unsafe try systemCall(
            __NR_mmap, 0, lengthBytes, Int(PROT_READ | PROT_WRITE),
            Int(MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE), -1, 0)
        guard let base = unsafe UnsafeMutableRawPointer(bitPattern: result) else { throw LinuxError(ENOMEM) }
        unsafe self.base = base
        unsafe start = base
        self.lengthBytes = lengthBytes
    }

    /// Maps zeroed private memory of which little is used: each page that is touched costs its own 4 KiB, never a huge
    /// page's 2 MiB.
    public init(sparseBytes lengthBytes: Int) throws(LinuxError) {
        try self.init(anonymousBytes: lengthBytes)
        // A kernel without huge pages refuses, and is right. MADV_NOHUGEPAGE is 15.
        // SAFETY: the range is this owner's own, and its content stays what it is.
        _ = unsafe linux_system_call(Int(__NR_madvise), Int(bitPattern: base), lengthBytes, 15, 0, 0, 0)
    }

    /// Takes a range of addresses with nothing there, for what is moved to it (mremap(2)) and unmapped with it.
    public init(reservedBytes lengthBytes: Int) throws(LinuxError) {
        // SAFETY: as above. PROT_NONE is 0.
        let result = unsafe try systemCall(
            __NR_mmap, 0, lengthBytes, 0, Int(MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE), -1, 0)
        guard let base = unsafe UnsafeMutableRawPointer(bitPattern: result) else { throw LinuxError(ENOMEM) }
        unsafe self.base = base
        unsafe start = base
        self.lengthBytes = lengthBytes
    }

    deinit {
        // SAFETY: this owner alone mapped the range, and nobody can use it any more.
        _ = unsafe linux_system_call(Int(__NR_munmap), Int(bitPattern: base), lengthBytes, 0, 0, 0, 0)
    }

    /// The number of the first byte's address.
    public var address: UInt64 { unsafe UInt64(UInt(bitPattern: base)) }

    /// Gives the range to the process for good.
    public consuming func leak() -> UnsafeMutableRawPointer {
        let base = unsafe base
        discard self
        return unsafe base
    }
}

/// An anonymous file in memory, as long as asked, closed on exec.
/// - Parameters:
///   - hasHugePages: whether its pages are of 2 MiB, and of the host's pool of such pages.
///   - isSealed: whether nobody can change its length any more, by writing behind its end either.
public func memoryFile(
    name: String, lengthBytes: UInt64, hasHugePages: Bool = false, isSealed: Bool = false
) throws(LinuxError) -> FileDescriptor {
    // MFD_HUGETLB and MFD_HUGE_2MB (21, the size's logarithm, from bit 26 on). Source: memfd_create(2).
    let flags = Int(MFD_CLOEXEC) | (hasHugePages ? 4 | 21 << 26 : 0) | (isSealed ? 2 : 0)
    let descriptor = try withKernelString(name) { name throws(LinuxError) -> FileDescriptor in
        // SAFETY: the name outlives the call.
        FileDescriptor(
            owning: Int32(truncatingIfNeeded: unsafe try systemCall(__NR_memfd_create, name, flags)))
    }
    // SAFETY: no address is passed.
    unsafe try systemCallRestarting(__NR_ftruncate, Int(descriptor.number), Int(truncatingIfNeeded: lengthBytes))
    // MFD_ALLOW_SEALING before; F_ADD_SEALS: F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW. Source: fcntl(2).
    if isSealed { try fileControl(descriptor.number, 1033, 7) }
    return descriptor
}

/// Lets go of the program's own code in memory: most of it has built the machine and is not run again. The rest comes back
/// from the program's file, a window of pages at a time.
public func releaseProgramCode() { linux_release_program_code() }
