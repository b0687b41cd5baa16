import CLinux

/// How a file system is mounted. Source: mount(2).
public struct MountFlags: OptionSet, Sendable {
    public let rawValue: UInt
    public init(rawValue: UInt) { self.rawValue = rawValue }

    public static let readOnly = MountFlags(rawValue: UInt(MS_RDONLY))
    public static let noSetUserID = MountFlags(rawValue: UInt(MS_NOSUID))
    public static let noDevices = MountFlags(rawValue: UInt(MS_NODEV))
    public static let noExecution = MountFlags(rawValue: UInt(MS_NOEXEC))
    public static let remount = MountFlags(rawValue: UInt(MS_REMOUNT))
    public static let bind = MountFlags(rawValue: UInt(MS_BIND))
    public static let recursive = MountFlags(rawValue: UInt(MS_REC))
    public static let move = MountFlags(rawValue: UInt(MS_MOVE))
    public static let relativeAccessTime = MountFlags(rawValue: UInt(MS_RELATIME))
    public static let isPrivate = MountFlags(rawValue: UInt(MS_PRIVATE))
}

/// Calls that change the tree of mounts.
public enum MountTable {
    public static func mount(
        _ source: [UInt8], at target: [UInt8], type: [UInt8], _ flags: MountFlags = [], options: [UInt8] = []
    ) throws(LinuxError) {
        _ = try withKernelBytes(source) { source throws(LinuxError) in
            try withKernelBytes(target) { target throws(LinuxError) in
                try withKernelBytes(type) { type throws(LinuxError) in
                    try withKernelBytes(options) { options throws(LinuxError) in
                        // SAFETY: all four texts outlive the call.
                        unsafe try systemCall(
                            __NR_mount, source, target, type, Int(bitPattern: flags.rawValue), options)
                    }
                }
            }
        }
    }

    /// - Parameter isLazy: takes the tree away at once and releases each file system when nothing uses it any more.
    public static func unmount(_ target: [UInt8], isLazy: Bool = false) throws(LinuxError) {
        _ = try withKernelBytes(target) { target throws(LinuxError) in
            // SAFETY: the name outlives the call. MNT_DETACH is 2.
            unsafe try systemCall(__NR_umount2, target, isLazy ? 2 : 0)
        }
    }

    public static func changeDirectory(_ path: [UInt8]) throws(LinuxError) {
        _ = try withKernelBytes(path) { path throws(LinuxError) in
            // SAFETY: the name outlives the call.
            unsafe try systemCall(__NR_chdir, path)
        }
    }

    public static func changeDirectory(_ directory: Int32) throws(LinuxError) {
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_fchdir, Int(directory))
    }

    public static func changeRoot(_ path: [UInt8]) throws(LinuxError) {
        _ = try withKernelBytes(path) { path throws(LinuxError) in
            // SAFETY: the name outlives the call.
            unsafe try systemCall(__NR_chroot, path)
        }
    }
}
