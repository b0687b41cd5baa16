import CLinux

/// A port of this computer that is held so that nobody else has it, and on which nothing is received. Source: ip(7), ipv6(7), socket(7).
public final class HeldPort {
    private let socket: FileDescriptor

    /// - Parameter host: an address in network order: 4 bytes, or 16 for one of IPv6, which leaves that port of IPv4 to others.
    /// - Throws: EADDRINUSE when somebody has it, EADDRNOTAVAIL when the address is none of this computer's, EAFNOSUPPORT when it has
    ///   no addresses of that family, EINVAL for other lengths.
    public init(_ host: [UInt8], port: UInt16, isStream: Bool) throws(LinuxError) {
        guard host.count == 4 || host.count == 16 else { throw .invalidArgument }
        // AF_INET is 2, AF_INET6 10.
        let family = host.count == 4 ? 2 : 10
        // SAFETY: no address is passed. SOCK_STREAM is 1, SOCK_DGRAM 2.
        socket = FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: unsafe try systemCall(__NR_socket, family, (isStream ? 1 : 2) | Int(O_CLOEXEC), 0)))
        // IPPROTO_IPV6, IPV6_V6ONLY
        if family == 10 { try set(level: 41, 26, to: 1) }
        // SOL_SOCKET, SO_REUSEADDR: connections that somebody had on it before keep nobody from it; afterwards they are to be kept
        // from it.
        if isStream { try set(level: 1, 2, to: 1) }
        if family == 2 { try bind(v4: host, port) } else { try bind(v6: host, port) }
        if isStream { try set(level: 1, 2, to: 0) }
    }

    private func bind(v4 host: [UInt8], _ port: UInt16) throws(LinuxError) {
        var address = linux_ipv4_address()
        address.family = 2
        address.port = (UInt8(port >> 8), UInt8(port & 0xff))
        address.address = (host[0], host[1], host[2], host[3])
        let number = Int(socket.number)
        // SAFETY: the kernel reads the address during the call.
        unsafe try withUnsafeMutablePointer(to: &address) { address throws(LinuxError) in
            _ = unsafe try systemCall(
                __NR_bind, number, Int(bitPattern: address), MemoryLayout<linux_ipv4_address>.size)
        }
    }

    private func bind(v6 host: [UInt8], _ port: UInt16) throws(LinuxError) {
        var address = linux_ipv6_address()
        address.family = 10
        address.port = (UInt8(port >> 8), UInt8(port & 0xff))
        address.address = (
            host[0], host[1], host[2], host[3], host[4], host[5], host[6], host[7], host[8], host[9], host[10],
            host[11], host[12], host[13], host[14], host[15]
        )
        let number = Int(socket.number)
        // SAFETY: the kernel reads the address during the call.
        unsafe try withUnsafeMutablePointer(to: &address) { address throws(LinuxError) in
            _ = unsafe try systemCall(
                __NR_bind, number, Int(bitPattern: address), MemoryLayout<linux_ipv6_address>.size)
        }
    }

    private func set(level: Int, _ option: Int, to value: Int32) throws(LinuxError) {
        var value = value
        let number = Int(socket.number)
        // SAFETY: the kernel reads four bytes during the call.
        unsafe try withUnsafeMutablePointer(to: &value) { value throws(LinuxError) in
            _ = unsafe try systemCall(__NR_setsockopt, number, level, option, Int(bitPattern: value), 4)
        }
    }
}
