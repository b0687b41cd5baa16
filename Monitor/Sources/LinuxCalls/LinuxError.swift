import CLinux

/// An error number returned by the kernel.
public struct LinuxError: Error, Equatable, Sendable {
    /// Positive, as in `errno(3)`.
    public let number: Int32

    public init(_ number: Int32) { self.number = number }
}

extension LinuxError: CustomStringConvertible {
    /// The kernel's words for the common numbers, and the number for the rest.
    public var description: String { words?.description ?? "error \(number)" }

    /// The kernel's words for the common numbers, nil for the rest.
    public var words: StaticString? {
        switch number {
        case EPERM: "operation not permitted"
        case ENOENT: "no such file or directory"
        case EINTR: "interrupted"
        case EIO: "input/output error"
        case ENXIO: "no such device or address"
        case EBADF: "bad file descriptor"
        case EAGAIN: "resource temporarily unavailable"
        case ENOMEM: "cannot allocate memory"
        case EACCES: "permission denied"
        case EFAULT: "bad address"
        case EBUSY: "device or resource busy"
        case EEXIST: "file exists"
        case ENODEV: "no such device"
        case ENOTDIR: "not a directory"
        case EISDIR: "is a directory"
        case EINVAL: "invalid argument"
        case ENFILE: "too many open files in system"
        case EMFILE: "too many open files"
        case ENOTTY: "inappropriate ioctl for device"
        case ETXTBSY: "text file busy"
        case EFBIG: "file too large"
        case ENOSPC: "no space left on device"
        case EROFS: "read-only file system"
        case EPIPE: "broken pipe"
        case ENAMETOOLONG: "file name too long"
        case ENOSYS: "function not implemented"
        case ENOTEMPTY: "directory not empty"
        case ELOOP: "too many levels of symbolic links"
        case EADDRINUSE: "address already in use"
        case ECONNREFUSED: "connection refused"
        case ECONNRESET: "connection reset by peer"
        case ETIMEDOUT: "connection timed out"
        default: nil
        }
    }
}

extension LinuxError {
    /// EAGAIN: nothing to read, or no room to write, at the moment.
    public static let tryAgain = LinuxError(EAGAIN)
    /// ENOBUFS: messages were lost.
    public static let noBufferSpace = LinuxError(ENOBUFS)
    /// EINTR: a signal came.
    public static let interrupted = LinuxError(EINTR)
    public static let timedOut = LinuxError(ETIMEDOUT)
}
