import CLinux
import LinuxCalls

extension HostFile {
    /// What comes on standard input, under a descriptor of its own.
    public static func standardInput() throws(HostFileError) -> HostFile {
        let path = HostPath("standard input")
        do {
            return HostFile(owning: FileDescriptor(owning: try fileControl(0, F_DUPFD_CLOEXEC, 3)), path: path)
        } catch {
            throw HostFileError("read", path, error)
        }
    }

    /// Holds the file's lock if nobody else does.
    /// - Returns: whether it is held now.
    public func tryLock() -> Bool {
        // SAFETY: no address is passed. LOCK_EX is 2, LOCK_NB 4.
        (unsafe try? systemCallRestarting(__NR_flock, Int(descriptorNumber), 2 | 4)) != nil
    }
}
