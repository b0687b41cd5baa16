import CLinux
public import LinuxCalls

/// Sends frames out at links, in the network namespace that the thread is in when this is made. Source: packet(7).
public struct FrameSender: ~Copyable, Sendable {
    private let descriptor: FileDescriptor

    /// - Throws: EPERM without CAP_NET_RAW.
    public init() throws(LinuxError) {
        // SAFETY: no address is passed. AF_PACKET is 17, SOCK_RAW 3; of no protocol, it hears nothing.
        descriptor = FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: unsafe try systemCall(__NR_socket, 17, 3 | Int(O_CLOEXEC | O_NONBLOCK), 0)))
    }

    /// Sends a whole frame, with its Ethernet header.
    /// - Throws: ENETDOWN when the link is down, ENXIO when it is not there, ENOBUFS when nobody is at its other end, EINVAL for what
    ///   has no header.
    public borrowing func send(_ frame: [UInt8], over link: UInt32) throws(LinuxError) {
        try Self.send(frame, over: link, by: descriptor.number)
    }

    static func send(_ frame: [UInt8], over link: UInt32, by descriptor: Int32) throws(LinuxError) {
        guard frame.count >= 14 else { throw .invalidArgument }
        // struct sockaddr_ll: family, protocol (2 bytes each), link (4), and what only those who receive are told (12).
        var address: [UInt8] = [17, 0, frame[12], frame[13]]
        for place in 0..<4 { address.append(UInt8(truncatingIfNeeded: link >> (8 * UInt32(place)))) }
        address += [UInt8](repeating: 0, count: 12)
        // SAFETY: both arrays outlive the call.
        unsafe try frame.withUnsafeBufferPointer { frame throws(LinuxError) in
            unsafe try address.withUnsafeBufferPointer { address throws(LinuxError) in
                _ = unsafe try systemCallRestarting(
                    __NR_sendto, Int(descriptor), Int(bitPattern: frame.baseAddress), frame.count, 0,
                    Int(bitPattern: address.baseAddress), address.count)
            }
        }
    }
}
