import CLinux
import LinuxCalls

extension HostFile {
    /// What comes on standard input, under a descriptor of its own.
    public static func standardInput() throws(HostFileError) -> HostFile {
        try standard(0, HostPath("standard input"), "read")
    }

    /// Where standard output goes, under a descriptor of its own.
    public static func standardOutput() throws(HostFileError) -> HostFile {
        try standard(1, HostPath("standard output"), "write")
    }

    private static func standard(
        _ number: Int32, _ path: HostPath, _ operation: String
    ) throws(HostFileError) -> HostFile {
        do {
            return HostFile(owning: FileDescriptor(owning: try fileControl(number, F_DUPFD_CLOEXEC, 3)), path: path)
        } catch {
            throw HostFileError(operation, path, error)
        }
    }

    /// Holds the file's lock if nobody else does.
    /// - Returns: whether it is held now.
    public func tryLock() -> Bool {
        // SAFETY: no address is passed. LOCK_EX is 2, LOCK_NB 4.
        (unsafe try? systemCallRestarting(__NR_flock, Int(descriptorNumber), 2 | 4)) != nil
    }
}
