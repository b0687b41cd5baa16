import CLinux

/// A port of this computer that is held so that nobody else has it, and on which nothing is received. Source: ip(7), socket(7).
public final class HeldPort {
    private let socket: FileDescriptor

    /// - Throws: EADDRINUSE when somebody has it, EADDRNOTAVAIL when the address is none of this computer's.
    public init(_ host: (UInt8, UInt8, UInt8, UInt8), port: UInt16, isStream: Bool) throws(LinuxError) {
        // SAFETY: no address is passed. AF_INET is 2, SOCK_STREAM 1, SOCK_DGRAM 2.
        socket = FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: unsafe try systemCall(__NR_socket, 2, (isStream ? 1 : 2) | Int(O_CLOEXEC), 0)))
        // Connections that somebody had on it before keep nobody from it; afterwards they are to be kept from it.
        if isStream { try setReuse(1) }
        var address = linux_ipv4_address()
        address.family = 2
        address.port = (UInt8(port >> 8), UInt8(port & 0xff))
        address.address = host
        let number = Int(socket.number)
        // SAFETY: the kernel reads the address during the call.
        unsafe try withUnsafeMutablePointer(to: &address) { address throws(LinuxError) in
            _ = unsafe try systemCall(
                __NR_bind, number, Int(bitPattern: address), MemoryLayout<linux_ipv4_address>.size)
        }
        if isStream { try setReuse(0) }
    }

    private func setReuse(_ value: Int32) throws(LinuxError) {
        var value = value
        let number = Int(socket.number)
        // SAFETY: the kernel reads four bytes during the call. SOL_SOCKET is 1, SO_REUSEADDR 2.
        unsafe try withUnsafeMutablePointer(to: &value) { value throws(LinuxError) in
            _ = unsafe try systemCall(__NR_setsockopt, number, 1, 2, Int(bitPattern: value), 4)
        }
    }
}
