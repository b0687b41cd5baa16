import CLinux

private let nonBlockingAndCloseOnExec = Int(O_NONBLOCK | O_CLOEXEC)
private let streamType = 1

/// Stream sockets between a guest and its host. Source: vsock(7).
public enum VsockSocket {
    /// The host's own number.
    public static let host: UInt32 = 2
    private static let any: UInt32 = .max
    /// How long the kernel waits for the other side's answer. Its usual two seconds are short for a processor that a hundred
    /// machines wait for.
    private static let connectSeconds = 60

    /// A non-blocking socket that listens on a port, whoever calls.
    public static func listen(port: UInt32, backlog: Int = 64) throws(LinuxError) -> FileDescriptor {
        try StreamSocket.listening(family: 40, address(any, port), backlog)
    }

    /// A non-blocking socket on its way to a port: connected once it is writable and `StreamSocket.pendingError` is nil.
    public static func connect(to contextID: UInt32, port: UInt32) throws(LinuxError) -> FileDescriptor {
        let socket = try StreamSocket.make(40)
        let number = socket.number
        var time = (connectSeconds, 0)
        // SAFETY: the kernel reads the time during the call. AF_VSOCK is 40, SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD 6.
        unsafe try withUnsafeMutablePointer(to: &time) { time throws(LinuxError) in
            _ = unsafe try systemCall(__NR_setsockopt, Int(number), 40, 6, Int(bitPattern: time), 16)
        }
        try StreamSocket.connect(number, address(contextID, port))
        return socket
    }

    /// Who is at the other end of a connection, or nil when that is no vsock connection. Source: getpeername(2).
    public static func peer(_ socket: Int32) -> UInt32? {
        var address = linux_vsock_address()
        var length = UInt32(MemoryLayout<linux_vsock_address>.size)
        // SAFETY: the kernel fills the address, at most as much as the length says, and the length during the call.
        let result = unsafe withUnsafeMutablePointer(to: &address) { address in
            unsafe withUnsafeMutablePointer(to: &length) { length in
                linux_system_call(
                    Int(__NR_getpeername), Int(socket), Int(bitPattern: address), Int(bitPattern: length), 0, 0, 0)
            }
        }
        return result == 0 && address.family == 40 ? address.cid : nil
    }

    /// The number that this machine has for its host; nil where it has none.
    /// Source: linux/vm_sockets.h, IOCTL_VM_SOCKETS_GET_LOCAL_CID.
    public static var own: UInt32? {
        guard let device = try? FileTree.open([UInt8]("/dev/vsock".utf8), .readOnly) else { return nil }
        var number: UInt32 = 0
        // SAFETY: the kernel fills four bytes during the call.
        let result = unsafe withUnsafeMutablePointer(to: &number) { number in
            linux_system_call(Int(__NR_ioctl), Int(device.number), 0x7b9, Int(bitPattern: number), 0, 0, 0)
        }
        return result < 0 ? nil : number
    }

    private static func address(_ contextID: UInt32, _ port: UInt32) -> linux_vsock_address {
        var address = linux_vsock_address()
        address.family = 40
        address.cid = contextID
        address.port = port
        return address
    }
}

/// Stream sockets over IPv4. Source: tcp(7).
public enum TCPSocket {
    /// A non-blocking socket that listens on a port, of every address unless one is given.
    public static func listen(
        on host: (UInt8, UInt8, UInt8, UInt8) = (0, 0, 0, 0), port: UInt16, backlog: Int = 64
    ) throws(LinuxError) -> FileDescriptor {
        try StreamSocket.listening(family: 2, address(host, port), backlog)
    }

    /// A non-blocking socket on its way to an address: connected once it is writable and `pendingError` is nil.
    public static func connect(
        to host: (UInt8, UInt8, UInt8, UInt8), port: UInt16
    ) throws(LinuxError) -> FileDescriptor {
        let socket = try StreamSocket.make(2)
        try StreamSocket.connect(socket.number, address(host, port))
        return socket
    }

    /// Sends small pieces at once.
    public static func setNoDelay(_ socket: Int32) throws(LinuxError) {
        var one: Int32 = 1
        // SAFETY: the kernel reads four bytes during the call. IPPROTO_TCP is 6, TCP_NODELAY 1.
        unsafe try withUnsafeMutablePointer(to: &one) { one throws(LinuxError) in
            _ = unsafe try systemCall(__NR_setsockopt, Int(socket), 6, 1, Int(bitPattern: one), 4)
        }
    }

    private static func address(_ host: (UInt8, UInt8, UInt8, UInt8), _ port: UInt16) -> linux_ipv4_address {
        var address = linux_ipv4_address()
        address.family = 2
        address.port = (UInt8(port >> 8), UInt8(port & 0xff))
        address.address = host
        return address
    }
}

/// What the families share.
public enum StreamSocket {
    /// The error that a connection attempt ended with, or nil. Source: socket(7), SO_ERROR.
    public static func pendingError(_ socket: Int32) -> LinuxError? {
        var number: Int32 = 0
        var length: UInt32 = 4
        // SAFETY: the kernel fills four bytes during the call. SOL_SOCKET is 1, SO_ERROR 4.
        let result = unsafe withUnsafeMutablePointer(to: &number) { number in
            unsafe withUnsafeMutablePointer(to: &length) { length in
                linux_system_call(
                    Int(__NR_getsockopt), Int(socket), 1, 4, Int(bitPattern: number), Int(bitPattern: length), 0)
            }
        }
        if result < 0 { return LinuxError(Int32(truncatingIfNeeded: -result)) }
        return number == 0 ? nil : LinuxError(number)
    }

    /// The next waiting connection of any family, non-blocking, or nil when none waits.
    public static func accept(_ listener: Int32) throws(LinuxError) -> FileDescriptor? {
        try UnixSocket.accept(listener)
    }

    /// Two connected Unix sockets, non-blocking.
    public static func pair() throws(LinuxError) -> SocketPair { try SocketPair() }

    fileprivate static func listening<Address>(
        family: Int, _ address: Address, _ backlog: Int
    ) throws(LinuxError) -> FileDescriptor {
        let socket = try make(family)
        let number = socket.number
        var address = address
        var one: Int32 = 1
        // SAFETY: the kernel reads four bytes, and then the address, during the calls. SO_REUSEADDR is 2.
        unsafe try withUnsafeMutablePointer(to: &one) { one throws(LinuxError) in
            _ = unsafe try systemCall(__NR_setsockopt, Int(number), 1, 2, Int(bitPattern: one), 4)
        }
        // SAFETY: as above.
        unsafe try withUnsafeMutablePointer(to: &address) { address throws(LinuxError) in
            _ = unsafe try systemCall(
                __NR_bind, Int(number), Int(bitPattern: address), MemoryLayout<Address>.size)
        }
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_listen, Int(number), backlog)
        return socket
    }

    /// Begins to connect a non-blocking socket.
    fileprivate static func connect<Address>(_ socket: Int32, _ address: Address) throws(LinuxError) {
        var address = address
        do throws(LinuxError) {
            // SAFETY: the kernel reads the address during the call.
            unsafe try withUnsafeMutablePointer(to: &address) { address throws(LinuxError) in
                _ = unsafe try systemCall(
                    __NR_connect, Int(socket), Int(bitPattern: address), MemoryLayout<Address>.size)
            }
        } catch {
            if error.number != EINPROGRESS { throw error }
        }
    }

    fileprivate static func make(_ family: Int) throws(LinuxError) -> FileDescriptor {
        // SAFETY: no address is passed.
        FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: unsafe try systemCall(
                    __NR_socket, family, streamType | nonBlockingAndCloseOnExec, 0)))
    }
}

/// Two connected Unix sockets, non-blocking.
@frozen public struct SocketPair: ~Copyable, Sendable {
    public let first: FileDescriptor
    public let second: FileDescriptor

    fileprivate init() throws(LinuxError) {
        var ends: (Int32, Int32) = (0, 0)
        // SAFETY: the kernel fills two numbers during the call.
        unsafe try withUnsafeMutablePointer(to: &ends) { ends throws(LinuxError) in
            _ = unsafe try systemCall(
                __NR_socketpair, 1, streamType | nonBlockingAndCloseOnExec, 0, Int(bitPattern: ends))
        }
        first = FileDescriptor(owning: ends.0)
        second = FileDescriptor(owning: ends.1)
    }
}

/// The two ends of a pipe, both blocking. Source: pipe(7).
@frozen public struct PipePair: ~Copyable, Sendable {
    public let reading: FileDescriptor
    public let writing: FileDescriptor

    public init() throws(LinuxError) {
        var ends: (Int32, Int32) = (0, 0)
        // SAFETY: the kernel fills two numbers during the call.
        unsafe try withUnsafeMutablePointer(to: &ends) { ends throws(LinuxError) in
            _ = unsafe try systemCall(__NR_pipe2, Int(bitPattern: ends), Int(O_CLOEXEC))
        }
        reading = FileDescriptor(owning: ends.0)
        writing = FileDescriptor(owning: ends.1)
    }
}
