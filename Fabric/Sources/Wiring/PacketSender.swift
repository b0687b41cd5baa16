public import AgentProtocol
import CLinux
public import LinuxCalls
import Netlink

/// Sends packets as the computer itself does: by its routes, and through its rules. In the network namespace that the thread is in when this is
/// made. Source: raw(7).
public struct PacketSender: ~Copyable, Sendable {
    private let descriptor: FileDescriptor
    private let destination: IPAddress

    /// - Throws: EPERM without CAP_NET_RAW, EAFNOSUPPORT where the kernel has no such addresses.
    public init(to destination: IPAddress) throws(LinuxError) {
        self.destination = destination
        // SAFETY: no address is passed. SOCK_RAW is 3, IPPROTO_RAW 255: packets have their own headers, and nothing is heard.
        descriptor = FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: unsafe try systemCall(
                    __NR_socket, Int(AddressFamily.of(destination.bytes)), 3 | Int(O_CLOEXEC | O_NONBLOCK), 255)))
    }

    /// Sends a whole packet, from its network's header on.
    /// - Throws: ENETUNREACH and the like where no route leads there, EPERM when a rule drops it.
    public borrowing func send(_ packet: [UInt8]) throws(LinuxError) {
        let address = Self.socketAddress(destination)
        // SAFETY: both arrays outlive the call.
        unsafe try packet.withUnsafeBufferPointer { packet throws(LinuxError) in
            unsafe try address.withUnsafeBufferPointer { address throws(LinuxError) in
                _ = unsafe try systemCallRestarting(
                    __NR_sendto, Int(descriptor.number), Int(bitPattern: packet.baseAddress), packet.count, 0,
                    Int(bitPattern: address.baseAddress), address.count)
            }
        }
    }

    /// `struct sockaddr_in` and `sockaddr_in6`, without a port. Source: ip(7), ipv6(7).
    private static func socketAddress(_ address: IPAddress) -> [UInt8] {
        let bytes = address.bytes
        let family = AddressFamily.of(bytes)
        let head = [UInt8(truncatingIfNeeded: family), 0, 0, 0]
        if bytes.count == 4 { return head + bytes + [UInt8](repeating: 0, count: 8) }
        return head + [0, 0, 0, 0] + bytes + [0, 0, 0, 0]
    }
}
