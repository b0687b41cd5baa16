import Glibc
import LinuxCalls

/// A listening socket with a thread behind it that serves each connection, one after the other, as the test says.
final class ScriptedServer: Sendable {
    let socket: Int32
    let port: UInt16

    /// On a free TCP port of this machine.
    init(backlog: Int32 = 16, _ serve: @escaping @Sendable (Int32) -> Void) throws {
        let listener = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        // SAFETY: the kernel reads and fills the address during the calls.
        let result = unsafe withUnsafeMutablePointer(to: &address) { address in
            unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                let bound = unsafe bind(listener, address, length)
                return unsafe bound == 0 ? getsockname(listener, address, &length) : bound
            }
        }
        guard result == 0, Glibc.listen(listener, backlog) == 0 else { throw LinuxError(errno) }
        socket = listener
        port = UInt16(bigEndian: address.sin_port)
        try Self.start(listener, serve)
    }

    /// On a Unix socket.
    init(path: String, _ serve: @escaping @Sendable (Int32) -> Void) throws {
        let listener = try UnixSocket.listen(path)
        try setNonBlocking(listener.number, false)
        socket = listener.release()
        port = 0
        try Self.start(socket, serve)
    }

    deinit {
        // Ends the thread's waiting; it closes the descriptor.
        shutDownSocket(socket, 2)
    }

    private static func start(_ listener: Int32, _ serve: @escaping @Sendable (Int32) -> Void) throws {
        try startThread(stackBytes: 1 << 20) {
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { break }
                serve(connection)
                Glibc.close(connection)
            }
            Glibc.close(listener)
        }
    }
}

/// Sends a short reply. A client that is gone already must not end the tests by SIGPIPE.
func reply(_ socket: Int32, _ bytes: [UInt8]) {
    // SAFETY: the kernel reads only inside the array, during the call.
    unsafe bytes.withUnsafeBytes { _ = unsafe try? StreamSocket.send(socket, $0) }
}

func reply(_ socket: Int32, _ text: String) { reply(socket, Array(text.utf8)) }

/// Exactly so many bytes, or fewer at the end of the stream.
func receive(_ socket: Int32, _ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count,
        let more = try? LinuxCalls.read(socket, appendingTo: &bytes, maximumBytes: count - bytes.count), more > 0
    {}
    return bytes
}
