import CLinux
import LinuxCalls

/// The error numbers that this module answers with itself.
extension LinuxError {
    static let stale = LinuxError(ESTALE)
    static let readOnlyFileSystem = LinuxError(EROFS)
    static let notSupported = LinuxError(EOPNOTSUPP)
    static let notImplemented = LinuxError(ENOSYS)
    static let notPermitted = LinuxError(EPERM)
    static let badDescriptor = LinuxError(EBADF)
    static let tooManyFiles = LinuxError(ENFILE)
    static let noMemory = LinuxError(ENOMEM)
    static let otherFileSystem = LinuxError(EXDEV)
    static let outOfRange = LinuxError(ERANGE)
    static let tooLarge = LinuxError(E2BIG)
    static let noSuchAttribute = LinuxError(ENODATA)
    static let wrongProtocol = LinuxError(EPROTO)
}
