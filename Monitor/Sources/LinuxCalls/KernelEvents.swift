import CLinux

/// What the kernel tells of its devices, as it happens. Source: netlink(7), Linux `lib/kobject_uevent.c`.
public struct KernelEvents: ~Copyable {
    /// Watch it for `readable`.
    public let descriptor: FileDescriptor

    public init() throws(LinuxError) {
        // SAFETY: no address is passed. AF_NETLINK is 16, SOCK_RAW 3, NETLINK_KOBJECT_UEVENT 15.
        let descriptor = FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: unsafe try systemCall(
                    __NR_socket, 16, 3 | Int(O_CLOEXEC) | Int(O_NONBLOCK), 15)))
        // struct sockaddr_nl: family, padding, port, groups; the kernel's own messages are group 1.
        var address: (UInt64, UInt32) = (16, 1)
        // SAFETY: the kernel reads twelve bytes of the structure during the call.
        unsafe try withUnsafeMutablePointer(to: &address) { address throws(LinuxError) in
            _ = unsafe try systemCall(__NR_bind, Int(descriptor.number), Int(bitPattern: address), 12)
        }
        self.descriptor = descriptor
    }

    /// The next message of the kernel: an action and a path, then `NAME=value`, each ended by a zero, and zeroes behind the
    /// last; empty when it is from somebody else.
    /// - Throws: EAGAIN when there is none, ENOBUFS when some have been lost.
    public func next() throws(LinuxError) -> [UInt8] {
        var message = [UInt8](repeating: 0, count: 4096)
        var sender: (UInt64, UInt32) = (0, 0)
        var senderBytes: UInt32 = 12
        // SAFETY: the kernel writes only inside the buffer and the two values, during the call.
        unsafe try message.withUnsafeMutableBufferPointer { message throws(LinuxError) in
            unsafe try withUnsafeMutablePointer(to: &sender) { sender throws(LinuxError) in
                unsafe try withUnsafeMutablePointer(to: &senderBytes) { senderBytes throws(LinuxError) in
                    _ = unsafe try systemCallRestarting(
                        __NR_recvfrom, Int(descriptor.number), Int(bitPattern: message.baseAddress), message.count &- 1,
                        0,
                        Int(bitPattern: sender), Int(bitPattern: senderBytes))
                }
            }
        }
        // The port of the kernel is 0.
        return sender.0 >> 32 == 0 ? message : []
    }
}
