import CLinux
import Synchronization

/// Everything that statx(2) says of a file.
public struct NodeStatus: Equatable, Sendable {
    public var mode: UInt32 = 0
    public var linkCount: UInt32 = 0
    public var userID: UInt32 = 0
    public var groupID: UInt32 = 0
    public var inode: UInt64 = 0
    /// Major number in the upper half.
    public var device: UInt64 = 0
    /// Of a device file: major number in the upper half.
    public var ownDevice: UInt64 = 0
    public var mountID: UInt64 = 0
    public var sizeBytes: UInt64 = 0
    /// Of 512 bytes.
    public var blocks: UInt64 = 0
    public var blockBytes: UInt32 = 0
    public var accessed = FileTime()
    public var modified = FileTime()
    public var changed = FileTime()

    public var isRegular: Bool { mode & 0o170000 == 0o100000 }
    public var isDirectory: Bool { mode & 0o170000 == 0o040000 }
}

/// Seconds since 1970, and nanoseconds of the next one.
public struct FileTime: Equatable, Sendable {
    public var seconds: Int64 = 0
    public var nanoseconds: UInt32 = 0

    public init(seconds: Int64 = 0, nanoseconds: UInt32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// UTIME_NOW: what the clock says when it is set.
    public static let now = FileTime(nanoseconds: 0x3fff_ffff)
    /// UTIME_OMIT: left as it is.
    public static let unchanged = FileTime(nanoseconds: 0x3fff_fffe)
}

/// What statfs(2) says of a file system.
public struct FileSystemStatus: Equatable, Sendable {
    public var blockBytes: UInt64 = 0
    public var fragmentBytes: UInt64 = 0
    public var blocks: UInt64 = 0
    public var freeBlocks: UInt64 = 0
    public var availableBlocks: UInt64 = 0
    public var files: UInt64 = 0
    public var freeFiles: UInt64 = 0
    public var longestName: UInt64 = 0
}

/// Calls on one folder's files for somebody who is not trusted: every name is one component below an open directory, no
/// link is followed, no mount is entered, and nothing is allocated.
public enum FolderCalls {
    /// The bits of openat2(2): below the directory, no links, neither ordinary nor magic ones, no other mount.
    private static let resolve = UInt64(
        RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV)

    // MARK: Looking

    public static func status(_ directory: Int32, _ name: KernelName) throws(LinuxError) -> NodeStatus {
        try status(directory, name.address, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT)
    }

    /// Of an open file.
    public static func status(_ descriptor: Int32) throws(LinuxError) -> NodeStatus {
        var empty: UInt8 = 0
        // SAFETY: an empty name, which outlives the call.
        return unsafe try withUnsafeMutablePointer(to: &empty) { empty throws(LinuxError) in
            try status(descriptor, Int(bitPattern: empty), AT_EMPTY_PATH)
        }
    }

    private static func status(_ directory: Int32, _ name: Int, _ flags: Int32) throws(LinuxError) -> NodeStatus {
        var facts = statx()
        // STATX_MNT_ID is 0x1000. SAFETY: the name outlives the call, and the kernel fills the structure during it.
        unsafe try withUnsafeMutablePointer(to: &facts) { facts throws(LinuxError) in
            _ = unsafe try systemCallRestarting(
                __NR_statx, Int(directory), name, Int(flags), Int(STATX_BASIC_STATS) | 0x1000, Int(bitPattern: facts))
        }
        return NodeStatus(
            mode: UInt32(facts.stx_mode), linkCount: facts.stx_nlink, userID: facts.stx_uid, groupID: facts.stx_gid,
            inode: facts.stx_ino, device: UInt64(facts.stx_dev_major) << 32 | UInt64(facts.stx_dev_minor),
            ownDevice: UInt64(facts.stx_rdev_major) << 32 | UInt64(facts.stx_rdev_minor), mountID: facts.stx_mnt_id,
            sizeBytes: facts.stx_size, blocks: facts.stx_blocks, blockBytes: facts.stx_blksize,
            accessed: FileTime(seconds: facts.stx_atime.tv_sec, nanoseconds: facts.stx_atime.tv_nsec),
            modified: FileTime(seconds: facts.stx_mtime.tv_sec, nanoseconds: facts.stx_mtime.tv_nsec),
            changed: FileTime(seconds: facts.stx_ctime.tv_sec, nanoseconds: facts.stx_ctime.tv_nsec))
    }

    /// Where a link points to, written into a room; returns how many bytes.
    public static func readLink(
        _ directory: Int32, _ name: KernelName, into room: borrowing ByteRoom, at offset: Int, atMost count: Int
    ) throws(LinuxError) -> Int {
        // SAFETY: the name outlives the call; the kernel writes only inside the room.
        unsafe try systemCall(__NR_readlinkat, Int(directory), name.address, room.address(offset, count), count)
    }

    /// The next entries of an open directory, as `struct linux_dirent64`; returns how many bytes, zero at the end.
    public static func readEntries(
        _ directory: Int32, into room: borrowing ByteRoom, atMost count: Int
    ) throws(LinuxError) -> Int {
        // SAFETY: the kernel writes only inside the room.
        unsafe try systemCallRestarting(__NR_getdents64, Int(directory), room.address(0, count), count)
    }

    public static func fileSystemStatus(_ descriptor: Int32) throws(LinuxError) -> FileSystemStatus {
        // `struct statfs`: fifteen words. Source: statfs(2), x86-64.
        var words = InlineArray<16, UInt64>(repeating: 0)
        var span = words.mutableSpan
        // SAFETY: the kernel fills at most 120 of the 128 bytes, during the call.
        _ = unsafe try span.withUnsafeMutableBytes { buffer throws(LinuxError) in
            unsafe try systemCallRestarting(__NR_fstatfs, Int(descriptor), Int(bitPattern: buffer.baseAddress))
        }
        return FileSystemStatus(
            blockBytes: words[1], fragmentBytes: words[9], blocks: words[2], freeBlocks: words[3],
            availableBlocks: words[4], files: words[5], freeFiles: words[6], longestName: words[8])
    }

    // MARK: Opening

    public static func open(
        _ directory: Int32, _ name: KernelName, _ flags: OpenFlags, mode: UInt32 = 0
    ) throws(LinuxError) -> FileDescriptor {
        var how = open_how()
        how.flags = UInt64(UInt32(bitPattern: flags.rawValue | O_CLOEXEC | O_NOFOLLOW))
        how.mode = flags.contains(.create) ? UInt64(mode & 0o7777) : 0
        how.resolve = resolve
        // SAFETY: the name and the structure outlive the call.
        let number = unsafe try withUnsafeMutablePointer(to: &how) { how throws(LinuxError) in
            unsafe try systemCallRestarting(
                __NR_openat2, Int(directory), name.address, Int(bitPattern: how), MemoryLayout<open_how>.size)
        }
        return FileDescriptor(owning: Int32(truncatingIfNeeded: number))
    }

    /// Opens once more what a descriptor (one with O_PATH, too) stands for.
    public static func reopen(_ descriptor: Int32, _ flags: OpenFlags) throws(LinuxError) -> FileDescriptor {
        FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: try withProcessName(descriptor) { name throws(LinuxError) in
                    // SAFETY: the name outlives the call.
                    unsafe try systemCallRestarting(
                        __NR_openat, Int(AT_FDCWD), name, Int(flags.rawValue | O_CLOEXEC), 0)
                }))
    }

    // MARK: Changing names

    public static func makeDirectory(_ directory: Int32, _ name: KernelName, mode: UInt32) throws(LinuxError) {
        // SAFETY: the name outlives the call.
        unsafe try systemCall(__NR_mkdirat, Int(directory), name.address, Int(mode & 0o1777))
    }

    /// A pipe or a socket, by the type in `mode`; no device.
    public static func makeNode(_ directory: Int32, _ name: KernelName, mode: UInt32) throws(LinuxError) {
        guard mode & 0o170000 == 0o010000 || mode & 0o170000 == 0o140000 else { throw LinuxError(EPERM) }
        // SAFETY: the name outlives the call.
        unsafe try systemCall(__NR_mknodat, Int(directory), name.address, Int(mode & 0o170777), 0)
    }

    public static func makeSymbolicLink(
        _ directory: Int32, _ name: KernelName, to target: KernelName
    ) throws(LinuxError) {
        // SAFETY: both names outlive the call.
        unsafe try systemCall(__NR_symlinkat, target.address, Int(directory), name.address)
    }

    public static func link(
        _ directory: Int32, _ name: KernelName, to newDirectory: Int32, _ newName: KernelName
    ) throws(LinuxError) {
        // SAFETY: both names outlive the call.
        unsafe try systemCall(
            __NR_linkat, Int(directory), name.address, Int(newDirectory), newName.address, 0)
    }

    public static func remove(_ directory: Int32, _ name: KernelName, isDirectory: Bool) throws(LinuxError) {
        // SAFETY: the name outlives the call.
        unsafe try systemCall(
            __NR_unlinkat, Int(directory), name.address, isDirectory ? Int(AT_REMOVEDIR) : 0)
    }

    /// - Parameter flags: those of renameat2(2).
    public static func rename(
        _ directory: Int32, _ name: KernelName, to newDirectory: Int32, _ newName: KernelName, flags: UInt32
    ) throws(LinuxError) {
        // SAFETY: both names outlive the call.
        unsafe try systemCall(
            __NR_renameat2, Int(directory), name.address, Int(newDirectory), newName.address, Int(flags))
    }

    // MARK: Changing what an open file is; a descriptor with O_PATH will do

    public static func setMode(_ descriptor: Int32, _ mode: UInt32) throws(LinuxError) {
        _ = try withProcessName(descriptor) { name throws(LinuxError) in
            // SAFETY: the name outlives the call.
            unsafe try systemCall(__NR_fchmodat, Int(AT_FDCWD), name, Int(mode & 0o7777))
        }
    }

    /// All ones leave a number as it is.
    public static func setOwner(_ descriptor: Int32, user: UInt32, group: UInt32) throws(LinuxError) {
        var empty: UInt8 = 0
        // SAFETY: an empty name, which outlives the call.
        unsafe try withUnsafeMutablePointer(to: &empty) { empty throws(LinuxError) in
            _ = unsafe try systemCall(
                __NR_fchownat, Int(descriptor), Int(bitPattern: empty), Int(user), Int(group), Int(AT_EMPTY_PATH))
        }
    }

    /// Of a name itself, not of what it links to.
    public static func setOwner(
        _ directory: Int32, _ name: KernelName, user: UInt32, group: UInt32
    ) throws(LinuxError) {
        // SAFETY: the name outlives the call.
        unsafe try systemCall(
            __NR_fchownat, Int(directory), name.address, Int(user), Int(group), Int(AT_SYMLINK_NOFOLLOW))
    }

    /// Of a name itself, not of what it links to.
    public static func setTimes(
        _ directory: Int32, _ name: KernelName, accessed: FileTime, modified: FileTime
    ) throws(LinuxError) {
        try setTimes(Int(directory), name.address, accessed, modified, flags: Int(AT_SYMLINK_NOFOLLOW))
    }

    /// Of an open file; one with O_PATH, too.
    public static func setTimes(
        _ descriptor: Int32, accessed: FileTime, modified: FileTime
    ) throws(LinuxError) {
        _ = try withProcessName(descriptor) { name throws(LinuxError) in
            try setTimes(Int(AT_FDCWD), name, accessed, modified, flags: 0)
            return 0
        }
    }

    private static func setTimes(
        _ directory: Int, _ name: Int, _ accessed: FileTime, _ modified: FileTime, flags: Int
    ) throws(LinuxError) {
        var times = (__kernel_timespec(), __kernel_timespec())
        times.0.tv_sec = accessed.seconds
        times.0.tv_nsec = Int64(accessed.nanoseconds)
        times.1.tv_sec = modified.seconds
        times.1.tv_nsec = Int64(modified.nanoseconds)
        // SAFETY: the name and the structures outlive the call.
        unsafe try withUnsafeMutablePointer(to: &times) { times throws(LinuxError) in
            _ = unsafe try systemCall(__NR_utimensat, directory, name, Int(bitPattern: times), flags)
        }
    }

    // MARK: Extended attributes of an open file; a descriptor with O_PATH will do

    /// The value, written into a room; returns how many bytes. With `count` zero only how many there are.
    public static func attribute(
        _ descriptor: Int32, _ name: KernelName, into room: borrowing ByteRoom, at offset: Int, atMost count: Int
    ) throws(LinuxError) -> Int {
        let address = room.address(offset, count)
        return try withProcessName(descriptor) { file throws(LinuxError) in
            // SAFETY: the names outlive the call; the kernel writes only inside the room.
            unsafe try systemCall(__NR_getxattr, file, name.address, address, count)
        }
    }

    /// The names, each with a zero behind it, written into a room; returns how many bytes.
    public static func attributeNames(
        _ descriptor: Int32, into room: borrowing ByteRoom, at offset: Int, atMost count: Int
    ) throws(LinuxError) -> Int {
        let address = room.address(offset, count)
        return try withProcessName(descriptor) { file throws(LinuxError) in
            // SAFETY: the name outlives the call; the kernel writes only inside the room.
            unsafe try systemCall(__NR_listxattr, file, address, count)
        }
    }

    /// - Parameter flags: 1 only makes it, 2 only replaces it.
    public static func setAttribute(
        _ descriptor: Int32, _ name: KernelName, from room: borrowing ByteRoom, at offset: Int, count: Int,
        flags: UInt32
    ) throws(LinuxError) {
        let address = room.address(offset, count)
        _ = try withProcessName(descriptor) { file throws(LinuxError) in
            // SAFETY: the names and the room outlive the call.
            unsafe try systemCall(__NR_setxattr, file, name.address, address, count, Int(flags))
        }
    }

    public static func removeAttribute(_ descriptor: Int32, _ name: KernelName) throws(LinuxError) {
        _ = try withProcessName(descriptor) { file throws(LinuxError) in
            // SAFETY: the names outlive the call.
            unsafe try systemCall(__NR_removexattr, file, name.address)
        }
    }

    // MARK: Contents of an open file

    /// - Parameter whence: SEEK_SET 0, SEEK_DATA 3, SEEK_HOLE 4.
    @discardableResult
    public static func seek(_ descriptor: Int32, to offset: Int64, whence: Int = 0) throws(LinuxError) -> Int64 {
        // SAFETY: no address is passed.
        Int64(unsafe try systemCall(__NR_lseek, Int(descriptor), Int(offset), whence))
    }

    /// - Parameter mode: a set of `FALLOC_FL_` flags.
    public static func allocate(
        _ descriptor: Int32, mode: UInt32, offset: Int64, count: Int64
    ) throws(LinuxError) {
        // SAFETY: no address is passed.
        unsafe try systemCallRestarting(
            __NR_fallocate, Int(descriptor), Int(mode), Int(offset), Int(count))
    }

    /// - Parameter dataOnly: not what is not needed to find the bytes, such as times.
    public static func synchronize(_ descriptor: Int32, dataOnly: Bool) throws(LinuxError) {
        // SAFETY: no address is passed.
        unsafe try systemCallRestarting(dataOnly ? __NR_fdatasync : __NR_fsync, Int(descriptor))
    }

    /// Copies within the host's file systems; returns how many bytes.
    public static func copyRange(
        _ source: Int32, _ sourceOffset: Int64, to target: Int32, _ targetOffset: Int64, count: Int
    ) throws(LinuxError) -> Int {
        var offsets = (sourceOffset, targetOffset)
        // SAFETY: the kernel reads and writes the two numbers during the call.
        return unsafe try withUnsafeMutableBytes(of: &offsets) { bytes throws(LinuxError) in
            let first = Int(bitPattern: bytes.baseAddress)
            return unsafe try systemCall(
                __NR_copy_file_range, Int(source), first, Int(target), first + 8, count, 0)
        }
    }

    /// Whether what was written through this descriptor could be written, as close(2) says it.
    public static func checkClosing(_ descriptor: Int32) throws(LinuxError) {
        let copy = try fileControl(descriptor, F_DUPFD_CLOEXEC, 3)
        // SAFETY: no address is passed, and the copy is this call's own.
        unsafe try systemCall(__NR_close, Int(copy))
    }

    // MARK: The process

    /// `/proc/self/fd`, open: the files' names there, also when the file system is out of sight; nil where there is none.
    public static func openNames() -> FileDescriptor? {
        try? LinuxCalls.open("/proc/self/fd", [.path, .directory])
    }

    /// Makes the calling thread one that serves folders: with a file creation mask of its own, which takes nothing away
    /// (whoever asks for files has applied another's already), and in the folder of its files' names. Every thread that
    /// uses these calls must be one from then on.
    public static func becomeServer(names: borrowing FileDescriptor) throws(LinuxError) {
        // CLONE_FS is 0x200.
        _ = linux_system_call(Int(__NR_unshare), 0x200, 0, 0, 0, 0, 0)
        _ = linux_system_call(Int(__NR_umask), 0, 0, 0, 0, 0, 0)
        try MountTable.changeDirectory(names.number)
        isInNames.store(1, ordering: .releasing)
    }

    private static let isInNames = Atomic<UInt32>(0)

    /// Lets this process open as many files as it may be allowed to; returns how many that are.
    public static func raiseOpenFileLimit() -> UInt64 {
        // What a process has where nobody says otherwise.
        var limits: (UInt64, UInt64) = (1024, 1024)
        // RLIMIT_NOFILE is 7. SAFETY: the kernel fills and reads the two numbers during the calls.
        unsafe withUnsafeMutableBytes(of: &limits) { bytes in
            let place = Int(bitPattern: bytes.baseAddress)
            guard linux_system_call(Int(__NR_prlimit64), 0, 7, 0, place, 0, 0) == 0 else { return }
            unsafe bytes.storeBytes(of: bytes.load(fromByteOffset: 8, as: UInt64.self), as: UInt64.self)
            _ = linux_system_call(Int(__NR_prlimit64), 0, 7, place, 0, 0, 0)
        }
        return limits.0
    }

    /// Calls `body` with the name `/proc/self/fd/N`, or with `N` where that is the working folder: it stands for the open
    /// file itself, whatever it is.
    @inline(never)
    private static func withProcessName(
        _ descriptor: Int32, _ body: (Int) throws(LinuxError) -> Int
    ) throws(LinuxError) -> Int {
        var name = InlineArray<32, UInt8>(repeating: 0)
        let prefix: StaticString = "/proc/self/fd/"
        var length = prefix.utf8CodeUnitCount
        // SAFETY: 14 bytes of 32.
        for index in 0..<length { name[index] = unsafe prefix.utf8Start[index] }
        var divisor: Int32 = 1
        while descriptor / divisor >= 10 { divisor &*= 10 }
        while divisor > 0, length < 31 {
            name[length] = UInt8(truncatingIfNeeded: descriptor / divisor % 10) &+ 0x30
            length &+= 1
            divisor /= 10
        }
        // SAFETY: the array outlives the call and ends with a zero.
        return unsafe try name.span.withUnsafeBufferPointer { buffer throws(LinuxError) in
            let skipped = isInNames.load(ordering: .relaxed) == 1 ? prefix.utf8CodeUnitCount : 0
            return try body(Int(bitPattern: buffer.baseAddress) + skipped)
        }
    }
}
