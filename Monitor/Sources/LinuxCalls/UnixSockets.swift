import CLinux

private let streamType = 1
private let nonBlockingAndCloseOnExec = Int(O_NONBLOCK | O_CLOEXEC)

/// Stream sockets named by a path. Source: unix(7).
public enum UnixSocket {
    /// The longest path the kernel takes, without its final zero.
    public static let maximumPathBytes = 107

    /// A non-blocking socket that listens at `path`.
    /// - Throws: EADDRINUSE when something lies there; ENAMETOOLONG over `maximumPathBytes`.
    public static func listen(_ path: String, backlog: Int = 64) throws(LinuxError) -> FileDescriptor {
        try listen([UInt8](path.utf8), backlog: backlog)
    }

    /// The same for a path of any bytes.
    public static func listen(_ path: [UInt8], backlog: Int = 64) throws(LinuxError) -> FileDescriptor {
        let socket = try streamSocket()
        try withAddress(path) { address, length throws(LinuxError) in
            // SAFETY: the address outlives the call.
            _ = unsafe try systemCall(__NR_bind, Int(socket.number), address, length)
        }
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_listen, Int(socket.number), backlog)
        return socket
    }

    /// A non-blocking socket connected to the listener at `path`.
    /// - Throws: ECONNREFUSED or ENOENT when nobody listens, EAGAIN when the listener's queue is full.
    public static func connect(_ path: String) throws(LinuxError) -> FileDescriptor {
        try connect([UInt8](path.utf8))
    }

    /// The same for a path of any bytes.
    public static func connect(_ path: [UInt8]) throws(LinuxError) -> FileDescriptor {
        let socket = try streamSocket()
        try withAddress(path) { address, length throws(LinuxError) in
            // SAFETY: the address outlives the call.
            _ = unsafe try systemCallRestarting(__NR_connect, Int(socket.number), address, length)
        }
        return socket
    }

    /// The next waiting connection, non-blocking, or nil when none waits.
    public static func accept(_ listener: Int32) throws(LinuxError) -> FileDescriptor? {
        do throws(LinuxError) {
            // SAFETY: no address is passed.
            return FileDescriptor(
                owning: Int32(
                    truncatingIfNeeded: unsafe try systemCallRestarting(
                        __NR_accept4, Int(listener), 0, 0, nonBlockingAndCloseOnExec)))
        } catch {
            if error.number == EAGAIN { return nil }
            throw error
        }
    }

    private static func streamSocket() throws(LinuxError) -> FileDescriptor {
        // SAFETY: no address is passed.
        FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: unsafe try systemCall(__NR_socket, 1, streamType | nonBlockingAndCloseOnExec, 0)))
    }

    private static func withAddress(
        _ path: [UInt8], _ body: (Int, Int) throws(LinuxError) -> Void
    ) throws(LinuxError) {
        if path.contains(0) { throw LinuxError(EINVAL) }
        if path.count > maximumPathBytes { throw LinuxError(ENAMETOOLONG) }
        let bytes = [1, 0] + path + [0]
        // SAFETY: the array is alive until after `body`.
        unsafe try bytes.span.withUnsafeBufferPointer { buffer throws(LinuxError) in
            try body(Int(bitPattern: buffer.baseAddress), buffer.count)
        }
    }
}

/// For how long a blocking socket waits to send or receive; then it is EAGAIN. Source: socket(7).
public func setTimeouts(_ socket: Int32, milliseconds: UInt64) throws(LinuxError) {
    // struct timeval.
    var time = (milliseconds / 1000, milliseconds % 1000 * 1000)
    // SAFETY: the kernel reads 16 bytes during the calls. SOL_SOCKET is 1, SO_RCVTIMEO 20, SO_SNDTIMEO 21.
    unsafe try withUnsafeMutablePointer(to: &time) { time throws(LinuxError) in
        for option in 20...21 {
            _ = unsafe try systemCall(__NR_setsockopt, Int(socket), 1, option, Int(bitPattern: time), 16)
        }
    }
}

/// Ends one direction of a connected socket: 0 receiving, 1 sending, 2 both. A socket that is gone is no error.
public func shutDownSocket(_ descriptor: Int32, _ direction: Int) {
    _ = linux_system_call(Int(__NR_shutdown), Int(descriptor), direction, 0, 0, 0, 0)
}

/// Removes a name. A name that is not there is no error.
public func removeFile(_ path: String) throws(LinuxError) {
    do throws(LinuxError) {
        try withKernelString(path) { name throws(LinuxError) in
            // SAFETY: the name outlives the call.
            _ = unsafe try systemCall(__NR_unlinkat, Int(AT_FDCWD), name, 0)
        }
    } catch {
        if error.number != ENOENT { throw error }
    }
}
