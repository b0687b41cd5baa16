import CLinux

/// The error numbers that callers tell apart, for modules that see no kernel header.
extension LinuxError {
    public static let noEntry = LinuxError(ENOENT)
    public static let inputOutput = LinuxError(EIO)
    public static let noProcess = LinuxError(ESRCH)
    public static let notAProgram = LinuxError(ENOEXEC)
    public static let busy = LinuxError(EBUSY)
    public static let addressInUse = LinuxError(EADDRINUSE)
    public static let exists = LinuxError(EEXIST)
    public static let noDevice = LinuxError(ENODEV)
    public static let isADirectory = LinuxError(EISDIR)
    public static let notADirectory = LinuxError(ENOTDIR)
    public static let invalidArgument = LinuxError(EINVAL)
    public static let nameTooLong = LinuxError(ENAMETOOLONG)
    public static let tooLong = LinuxError(E2BIG)
    public static let tooManyLevels = LinuxError(ELOOP)
    public static let protocolError = LinuxError(EPROTO)
    public static let addressNotAvailable = LinuxError(EADDRNOTAVAIL)
    public static let familyNotSupported = LinuxError(EAFNOSUPPORT)
    public static let brokenPipe = LinuxError(EPIPE)
    public static let connectionRefused = LinuxError(ECONNREFUSED)
}
