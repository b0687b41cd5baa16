import CLinux

/// What lies at a name. Source: statx(2).
public struct FileFacts: Equatable, Sendable {
    public enum Kind: Sendable { case regular, directory, symbolicLink, other }

    /// Type and permissions, as `st_mode` has them.
    public var mode: UInt32
    public var userID: UInt32
    public var groupID: UInt32
    public var sizeBytes: UInt64
    /// Since 1970.
    public var modifiedNanoseconds: Int64

    public var kind: Kind {
        switch mode & 0o170000 {
        case 0o100000: .regular
        case 0o040000: .directory
        case 0o120000: .symbolicLink
        default: .other
        }
    }
}

/// Calls on files by names of any bytes, relative to an open directory (`FileTree.current` for the working directory).
///
/// A name that holds a zero byte is refused with EINVAL.
public enum FileTree {
    public static let current: Int32 = AT_FDCWD

    public static func open(
        _ path: [UInt8], in directory: Int32 = current, _ flags: OpenFlags, mode: UInt32 = 0o666
    ) throws(LinuxError) -> FileDescriptor {
        let bits = Int(flags.rawValue | O_CLOEXEC)
        return FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: try withKernelBytes(path) { name throws(LinuxError) in
                    // SAFETY: the name outlives the call.
                    unsafe try systemCallRestarting(__NR_openat, Int(directory), name, bits, Int(mode))
                }))
    }

    /// Opens as if `directory` were the root: neither `..`, nor a link, nor a leading slash leaves it.
    /// Source: openat2(2), RESOLVE_IN_ROOT.
    public static func open(
        _ path: [UInt8], asRoot directory: Int32, _ flags: OpenFlags, mode: UInt32 = 0o666
    ) throws(LinuxError) -> FileDescriptor {
        try open(path, directory, flags, mode, resolving: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    }

    /// Opens what lies below `directory`: EXDEV for what leads out of it, ELOOP for a link.
    /// Source: openat2(2), RESOLVE_BENEATH.
    public static func open(
        _ path: [UInt8], beneath directory: Int32, _ flags: OpenFlags, mode: UInt32 = 0o666
    ) throws(LinuxError) -> FileDescriptor {
        try open(path, directory, flags, mode, resolving: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
    }

    private static func open(
        _ path: [UInt8], _ directory: Int32, _ flags: OpenFlags, _ mode: UInt32, resolving bits: Int32
    ) throws(LinuxError) -> FileDescriptor {
        var how = open_how()
        how.flags = UInt64(UInt32(bitPattern: flags.rawValue | O_CLOEXEC))
        how.mode = flags.contains(.create) ? UInt64(mode) : 0
        how.resolve = UInt64(UInt32(bitPattern: bits))
        let number = try withKernelBytes(path) { name throws(LinuxError) in
            // SAFETY: the name and the structure outlive the call.
            unsafe try withUnsafeMutablePointer(to: &how) { how throws(LinuxError) in
                unsafe try systemCallRestarting(
                    __NR_openat2, Int(directory), name, Int(bitPattern: how), MemoryLayout<open_how>.size)
            }
        }
        return FileDescriptor(owning: Int32(truncatingIfNeeded: number))
    }

    /// What lies at a name; an empty name is the directory (or any open file) itself.
    public static func facts(
        _ path: [UInt8] = [], in directory: Int32 = current, followsLink: Bool = false
    ) throws(LinuxError) -> FileFacts {
        var facts = statx()
        let flags = Int((followsLink ? 0 : AT_SYMLINK_NOFOLLOW) | AT_EMPTY_PATH)
        _ = try withKernelBytes(path) { name throws(LinuxError) in
            // SAFETY: the name outlives the call, and the kernel fills the structure during it.
            unsafe try withUnsafeMutablePointer(to: &facts) { facts throws(LinuxError) in
                unsafe try systemCall(
                    __NR_statx, Int(directory), name, flags, Int(STATX_BASIC_STATS), Int(bitPattern: facts))
            }
        }
        return FileFacts(
            mode: UInt32(facts.stx_mode), userID: facts.stx_uid, groupID: facts.stx_gid, sizeBytes: facts.stx_size,
            modifiedNanoseconds: facts.stx_mtime.tv_sec &* 1_000_000_000 &+ Int64(facts.stx_mtime.tv_nsec))
    }

    public static func makeDirectory(
        _ path: [UInt8], in directory: Int32 = current, mode: UInt32 = 0o777
    ) throws(LinuxError) {
        _ = try withKernelBytes(path) { name throws(LinuxError) in
            // SAFETY: the name outlives the call.
            unsafe try systemCall(__NR_mkdirat, Int(directory), name, Int(mode))
        }
    }

    public static func makeSymbolicLink(
        _ path: [UInt8], in directory: Int32 = current, to target: [UInt8]
    ) throws(LinuxError) {
        _ = try withKernelBytes(path) { name throws(LinuxError) in
            try withKernelBytes(target) { target throws(LinuxError) in
                // SAFETY: both names outlive the call.
                unsafe try systemCall(__NR_symlinkat, target, Int(directory), name)
            }
        }
    }

    /// Where a symbolic link points to.
    public static func readLink(_ path: [UInt8], in directory: Int32 = current) throws(LinuxError) -> [UInt8] {
        var target = [UInt8](repeating: 0, count: 4096)
        let count = try withKernelBytes(path) { name throws(LinuxError) in
            // SAFETY: the name outlives the call, and the kernel writes only inside the array.
            unsafe try target.withUnsafeMutableBufferPointer { target throws(LinuxError) in
                unsafe try systemCall(
                    __NR_readlinkat, Int(directory), name, Int(bitPattern: target.baseAddress), target.count)
            }
        }
        target.removeLast(target.count - count)
        return target
    }

    public static func remove(
        _ path: [UInt8], in directory: Int32 = current, isDirectory: Bool = false
    ) throws(LinuxError) {
        _ = try withKernelBytes(path) { name throws(LinuxError) in
            // SAFETY: the name outlives the call.
            unsafe try systemCall(__NR_unlinkat, Int(directory), name, isDirectory ? Int(AT_REMOVEDIR) : 0)
        }
    }

    /// Gives what lies at a name another name in the same directory; a file or link that has that one is replaced.
    public static func rename(
        _ path: [UInt8], in directory: Int32 = current, to other: [UInt8]
    ) throws(LinuxError) {
        _ = try withKernelBytes(path) { path throws(LinuxError) in
            try withKernelBytes(other) { other throws(LinuxError) in
                // SAFETY: both names outlive the call.
                unsafe try systemCall(__NR_renameat2, Int(directory), path, Int(directory), other, 0)
            }
        }
    }

    /// The names in an open directory, without `.` and `..`, in the file system's order.
    public static func names(in directory: Int32) throws(LinuxError) -> [[UInt8]] {
        var names: [[UInt8]] = []
        var buffer = [UInt8](repeating: 0, count: 32 << 10)
        while true {
            // SAFETY: the kernel writes only inside the array.
            let count = unsafe try buffer.withUnsafeMutableBufferPointer { buffer throws(LinuxError) in
                unsafe try systemCall(
                    __NR_getdents64, Int(directory), Int(bitPattern: buffer.baseAddress), buffer.count)
            }
            if count == 0 { return names }
            // struct linux_dirent64: inode u64, offset i64, length u16, type u8, name.
            var position = 0
            while position + 19 < count {
                let length = Int(buffer[position + 16]) | Int(buffer[position + 17]) << 8
                guard length > 19, position + length <= count else { throw LinuxError(EIO) }
                let name = [UInt8](buffer[position + 19..<position + length].prefix { $0 != 0 })
                if name != [0x2e], name != [0x2e, 0x2e] { names.append(name) }
                position += length
            }
        }
    }

    public static func setPermissions(_ file: Int32, _ mode: UInt32) throws(LinuxError) {
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_fchmod, Int(file), Int(mode))
    }

    /// Of a name itself, not of what it links to; an empty name is the open file.
    public static func setOwner(
        _ path: [UInt8] = [], in directory: Int32, user: UInt32, group: UInt32
    ) throws(LinuxError) {
        _ = try withKernelBytes(path) { name throws(LinuxError) in
            // SAFETY: the name outlives the call.
            unsafe try systemCall(
                __NR_fchownat, Int(directory), name, Int(user), Int(group), Int(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        }
    }

    /// Of a name itself, not of what it links to. The time of the last access is left alone.
    public static func setModified(
        _ path: [UInt8], in directory: Int32, nanoseconds: Int64
    ) throws(LinuxError) {
        var times = times(nanoseconds)
        _ = try withKernelBytes(path) { name throws(LinuxError) in
            // SAFETY: the name and the structures outlive the call.
            unsafe try withUnsafeMutablePointer(to: &times) { times throws(LinuxError) in
                unsafe try systemCall(
                    __NR_utimensat, Int(directory), name, Int(bitPattern: times), Int(AT_SYMLINK_NOFOLLOW))
            }
        }
    }

    /// Of an open file.
    public static func setModified(_ file: Int32, nanoseconds: Int64) throws(LinuxError) {
        var times = times(nanoseconds)
        // SAFETY: the structures outlive the call.
        unsafe try withUnsafeMutablePointer(to: &times) { times throws(LinuxError) in
            _ = unsafe try systemCall(__NR_utimensat, Int(file), 0, Int(bitPattern: times), 0)
        }
    }

    /// Everything of a small file; EFBIG when it holds more than `maximumBytes`.
    public static func contents(_ file: Int32, maximumBytes: Int) throws(LinuxError) -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            let room = maximumBytes + 1 - bytes.count
            if room <= 0 { throw LinuxError(EFBIG) }
            if try read(file, appendingTo: &bytes, maximumBytes: min(room, 16 << 10)) == 0 { return bytes }
        }
    }

    private static func times(_ modifiedNanoseconds: Int64) -> (__kernel_timespec, __kernel_timespec) {
        var times = (__kernel_timespec(), __kernel_timespec())
        times.0.tv_nsec = 0x3fff_fffe  // UTIME_OMIT
        var seconds = modifiedNanoseconds / 1_000_000_000
        var rest = modifiedNanoseconds % 1_000_000_000
        if rest < 0 {
            seconds -= 1
            rest += 1_000_000_000
        }
        times.1.tv_sec = seconds
        times.1.tv_nsec = rest
        return times
    }
}

/// Calls `body` with the address of these bytes and a zero after them.
@inline(__always)
public func withKernelBytes<R: ~Copyable>(
    _ bytes: [UInt8], _ body: (Int) throws(LinuxError) -> R
) throws(LinuxError) -> R {
    if bytes.contains(0) { throw LinuxError(EINVAL) }
    let ended = bytes + [0]
    // SAFETY: the array is alive until after `body`, which receives only its address.
    return unsafe try ended.span.withUnsafeBufferPointer { buffer throws(LinuxError) in
        try body(Int(bitPattern: buffer.baseAddress))
    }
}
