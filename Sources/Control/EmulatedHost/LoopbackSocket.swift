import AgentClient
import Glibc
import LinuxCalls

/// TCP to this machine itself.
enum LoopbackSocket {
    private static let shortestPauseNanoseconds: UInt64 = 20_000
    private static let longestPauseNanoseconds: UInt64 = 5_000_000

    /// A blocking connection that sends small pieces at once, whose first bytes the other side's kernel has.
    ///
    /// The emulator listens with room for two connections that it has not taken yet. To whoever comes beyond that the
    /// kernel says that they are connected, and forgets them; it takes their first bytes when they come again, and breaks
    /// the connection when what comes again is anything later. So nothing is sent behind the first bytes before it has
    /// them.
    /// - Throws: ECONNREFUSED where nobody listens; what happened last when the deadline is over.
    static func connect(port: UInt16, saying first: [UInt8], until deadline: Deadline) throws(LinuxError)
        -> FileDescriptor
    {
        while true {
            do throws(LinuxError) {
                let socket = try connect(port: port, until: deadline)
                try send(first, to: socket.number)
                try waitUntilTaken(socket.number, until: deadline)
                return socket
            } catch {
                guard error.number == ECONNRESET || error.number == EPIPE, !deadline.isOver else { throw error }
                sleep(nanoseconds: longestPauseNanoseconds)
            }
        }
    }

    private static func connect(port: UInt16, until deadline: Deadline) throws(LinuxError) -> FileDescriptor {
        let socket = FileDescriptor(
            owning: Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
        guard socket.number >= 0 else { throw LinuxError(errno) }
        var one: Int32 = 1
        // SAFETY: the kernel reads four bytes during the call.
        unsafe setsockopt(socket.number, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
        // A call that is lost because nobody takes it is repeated for minutes.
        try limitSending(socket.number, nanoseconds: deadline.remaining.map { max($0, 1_000_000) } ?? 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        // SAFETY: the kernel reads the address during the call.
        let result = unsafe withUnsafePointer(to: &address) { address in
            unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(socket.number, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw errno == EINPROGRESS ? .timedOut : LinuxError(errno) }
        try limitSending(socket.number, nanoseconds: 0)
        return socket
    }

    /// Zero for no limit.
    private static func limitSending(_ socket: Int32, nanoseconds: UInt64) throws(LinuxError) {
        var time = timeval(
            tv_sec: Int(nanoseconds / 1_000_000_000), tv_usec: Int(nanoseconds % 1_000_000_000 / 1000))
        // SAFETY: the kernel reads the time during the call.
        let result = unsafe setsockopt(
            socket, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        guard result == 0 else { throw LinuxError(errno) }
    }

    /// The bytes are few: an empty connection has room for them.
    private static func send(_ bytes: [UInt8], to socket: Int32) throws(LinuxError) {
        // SAFETY: the array outlives the call.
        let sent = unsafe try bytes.span.withUnsafeBytes { buffer throws(LinuxError) in
            unsafe try StreamSocket.send(socket, buffer)
        }
        guard sent == bytes.count else { throw LinuxError(EPIPE) }
    }

    /// Waits until what was sent is acknowledged.
    private static func waitUntilTaken(_ socket: Int32, until deadline: Deadline) throws(LinuxError) {
        var pauseNanoseconds = shortestPauseNanoseconds
        while true {
            var waiting: Int32 = 0
            // SAFETY: the kernel writes one number during the call. TIOCOUTQ: bytes that are not acknowledged.
            guard unsafe ioctl(socket, 0x5411, &waiting) == 0 else { throw LinuxError(errno) }
            var failure: Int32 = 0
            var length = socklen_t(4)
            // SAFETY: as above; the buffer is as long as is said.
            guard unsafe getsockopt(socket, SOL_SOCKET, SO_ERROR, &failure, &length) == 0 else {
                throw LinuxError(errno)
            }
            guard failure == 0 else { throw LinuxError(failure) }
            if waiting == 0 { return }
            guard !deadline.isOver else { throw .timedOut }
            sleep(nanoseconds: pauseNanoseconds)
            pauseNanoseconds = min(2 * pauseNanoseconds, longestPauseNanoseconds)
        }
    }
}
