import CLinux

/// An open file that is closed when its owner lets go of it.
@frozen public struct FileDescriptor: ~Copyable, Sendable {
    /// The number the kernel knows it by; valid for as long as the owner lives.
    public let number: Int32

    /// Takes ownership of an open descriptor.
    public init(owning number: Int32) { self.number = number }

    deinit { _ = linux_system_call(Int(__NR_close), Int(number), 0, 0, 0, 0, 0) }

    /// Gives the descriptor away; the caller closes it.
    public consuming func release() -> Int32 {
        let number = number
        discard self
        return number
    }

    /// A second descriptor for the same open file, closed on exec.
    public func duplicate() throws(LinuxError) -> FileDescriptor { try FileDescriptor(duplicating: number) }

    /// The same for one that somebody else owns.
    public init(duplicating number: Int32) throws(LinuxError) {
        self.init(owning: try fileControl(number, F_DUPFD_CLOEXEC, 3))
    }
}

/// How `open` opens; the names are those of `open(2)` without the prefix.
public struct OpenFlags: OptionSet, Sendable {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }

    public static let readOnly = OpenFlags([])
    public static let writeOnly = OpenFlags(rawValue: O_WRONLY)
    public static let readWrite = OpenFlags(rawValue: O_RDWR)
    public static let create = OpenFlags(rawValue: O_CREAT)
    public static let exclusive = OpenFlags(rawValue: O_EXCL)
    public static let truncate = OpenFlags(rawValue: O_TRUNC)
    public static let append = OpenFlags(rawValue: O_APPEND)
    public static let nonBlocking = OpenFlags(rawValue: O_NONBLOCK)
    public static let directory = OpenFlags(rawValue: O_DIRECTORY)
    public static let noFollow = OpenFlags(rawValue: O_NOFOLLOW)
    public static let noControllingTerminal = OpenFlags(rawValue: O_NOCTTY)
    /// Reading leaves the time of the last access as it is; only the file's owner and root may say so (EPERM).
    public static let leavingAccessTime = OpenFlags(rawValue: O_NOATIME)
    public static let direct = OpenFlags(rawValue: O_DIRECT)
    public static let path = OpenFlags(rawValue: O_PATH)
}

/// Opens a file by name; it is always closed on exec.
public func open(_ path: String, _ flags: OpenFlags, mode: UInt32 = 0o666) throws(LinuxError) -> FileDescriptor {
    try withKernelString(path) { name throws(LinuxError) in
        // SAFETY: the name outlives the call.
        FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: unsafe try systemCallRestarting(
                    __NR_openat, Int(AT_FDCWD), name, Int(flags.rawValue | O_CLOEXEC), Int(mode))))
    }
}

/// `fcntl(2)` with a number as its argument.
@discardableResult
public func fileControl(_ descriptor: Int32, _ command: Int32, _ argument: Int = 0) throws(LinuxError) -> Int32 {
    // SAFETY: no address is passed; commands that take one are not used through this door.
    Int32(truncatingIfNeeded: unsafe try systemCall(__NR_fcntl, Int(descriptor), Int(command), argument))
}

/// Sets or clears O_NONBLOCK.
public func setNonBlocking(_ descriptor: Int32, _ isNonBlocking: Bool = true) throws(LinuxError) {
    let flags = try fileControl(descriptor, F_GETFL)
    let wanted = isNonBlocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK
    if wanted != flags { try fileControl(descriptor, F_SETFL, Int(wanted)) }
}

/// Locks an open file for its holder alone, until it is closed everywhere. Source: flock(2).
/// - Parameter isShared: for as many as want it so, and nobody alone.
/// - Throws: EAGAIN when somebody else has it.
public func lockFile(_ descriptor: Int32, isShared: Bool = false) throws(LinuxError) {
    // LOCK_SH, LOCK_EX and LOCK_NB. SAFETY: no address is passed.
    unsafe try systemCallRestarting(__NR_flock, Int(descriptor), (isShared ? 1 : 2) | 4)
}
