import CLinux

/// What lies behind a descriptor.
public enum FileKind: Sendable {
    case regular
    case blockDevice
    case directory
    case other
}

extension FileDescriptor {
    /// The file's kind. Source: statx(2).
    public func kind() throws(LinuxError) -> FileKind {
        let number = number
        let statusBytes = 256
        let mode = try unsafe withUnsafeTemporaryAllocation(byteCount: statusBytes, alignment: 8) {
            buffer throws(LinuxError) -> UInt16 in
            try withKernelString("") { empty throws(LinuxError) in
                // SAFETY: the kernel fills `struct statx`, which is 256 bytes, during the call.
                _ = unsafe try systemCallRestarting(
                    __NR_statx, Int(number), empty, 0x1000, 1, Int(bitPattern: buffer.baseAddress))
            }
            // stx_mode lies behind mask, block size, attributes (8), links, user and group.
            return unsafe buffer.load(fromByteOffset: 28, as: UInt16.self)
        }
        return switch mode & 0o170000 {
        case 0o100000: .regular
        case 0o060000: .blockDevice
        case 0o040000: .directory
        default: .other
        }
    }

    /// Changes how a range of the file is allocated; `mode` is a set of `FALLOC_FL_` flags. Source: fallocate(2).
    public func allocate(mode: Int32, offset: UInt64, lengthBytes: UInt64) throws(LinuxError) {
        // SAFETY: no address is passed.
        unsafe try systemCallRestarting(
            __NR_fallocate, Int(number), Int(mode), Int(truncatingIfNeeded: offset),
            Int(truncatingIfNeeded: lengthBytes))
    }

    /// Waits until the file's bytes are on its disk, and what is needed to find them. Source: fdatasync(2).
    public func synchronizeData() throws(LinuxError) {
        // SAFETY: no address is passed.
        unsafe try systemCallRestarting(__NR_fdatasync, Int(number))
    }
}

/// Makes a file so long, shorter or with a hole at its end. Source: ftruncate(2).
public func changeLength(_ descriptor: Int32, lengthBytes: UInt64) throws(LinuxError) {
    // SAFETY: no address is passed.
    unsafe try systemCallRestarting(__NR_ftruncate, Int(descriptor), Int(truncatingIfNeeded: lengthBytes))
}
