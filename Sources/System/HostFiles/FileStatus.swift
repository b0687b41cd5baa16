import CLinux
import LinuxCalls

/// What the kernel says about a file.
public struct FileStatus: Equatable, Sendable {
    /// Type and permissions, as in `st_mode`.
    public let mode: UInt16
    public let userID: UInt32
    public let groupID: UInt32
    public let sizeBytes: UInt64
    /// Bytes that the file takes on the disk; less than its size when it has holes.
    public let allocatedBytes: UInt64
    public let modifiedSeconds: Int64
    public let modifiedNanoseconds: UInt32
    public let linkCount: UInt32
    public let deviceMajor: UInt32
    public let deviceMinor: UInt32
    /// Which file it is, together with `fileSystemID`.
    public let inodeNumber: UInt64
    public let fileSystemID: UInt64

    /// `S_IFMT` of the mode.
    public var kind: UInt16 { mode & 0o170000 }
    public var isFolder: Bool { kind == 0o040000 }
    public var isRegularFile: Bool { kind == 0o100000 }

    /// Whether a file that looked like `earlier` still holds the same bytes, as far as length and time tell.
    public func hasSameContent(as earlier: FileStatus) -> Bool {
        inodeNumber == earlier.inodeNumber && fileSystemID == earlier.fileSystemID && sizeBytes == earlier.sizeBytes
            && modifiedSeconds == earlier.modifiedSeconds && modifiedNanoseconds == earlier.modifiedNanoseconds
    }

    init(_ raw: statx) {
        mode = raw.stx_mode
        userID = raw.stx_uid
        groupID = raw.stx_gid
        sizeBytes = raw.stx_size
        allocatedBytes = raw.stx_blocks &* 512
        modifiedSeconds = raw.stx_mtime.tv_sec
        modifiedNanoseconds = raw.stx_mtime.tv_nsec
        linkCount = raw.stx_nlink
        deviceMajor = raw.stx_rdev_major
        deviceMinor = raw.stx_rdev_minor
        inodeNumber = raw.stx_ino
        fileSystemID = UInt64(raw.stx_dev_major) << 32 | UInt64(raw.stx_dev_minor)
    }
}

extension HostPath {
    /// - Throws: also when nothing is there; see `HostFileError.isMissing`.
    public func status(followsLinks: Bool = true) throws(HostFileError) -> FileStatus {
        var raw = statx()
        let flags = Int(followsLinks ? 0 : AT_SYMLINK_NOFOLLOW)
        try call("look at") { address throws(LinuxError) in
            // SAFETY: path and result outlive the call.
            unsafe try withAddress(of: &raw) { result throws(LinuxError) in
                unsafe try systemCallRestarting(
                    __NR_statx, Int(AT_FDCWD), address, flags, Int(STATX_BASIC_STATS), result)
            }
        }
        return FileStatus(raw)
    }

    public var exists: Bool { (try? status(followsLinks: false)) != nil }
}

extension HostFile {
    public func status() throws(HostFileError) -> FileStatus {
        var raw = statx()
        var empty: CChar = 0
        do throws(LinuxError) {
            // SAFETY: the empty name and the result outlive the call.
            unsafe try withAddress(of: &raw) { result throws(LinuxError) in
                unsafe try withAddress(of: &empty) { empty throws(LinuxError) in
                    unsafe try systemCallRestarting(
                        __NR_statx, Int(descriptorNumber), empty, Int(AT_EMPTY_PATH), Int(STATX_BASIC_STATS), result)
                }
            }
        } catch {
            throw HostFileError("look at", path, error)
        }
        return FileStatus(raw)
    }
}
