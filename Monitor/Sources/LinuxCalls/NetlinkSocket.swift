import CLinux

/// A socket on which the kernel is asked to change its network. Source: netlink(7), rtnetlink(7).
public struct NetlinkSocket: ~Copyable, Sendable {
    private let descriptor: FileDescriptor

    public init() throws(LinuxError) {
        // SAFETY: no address is passed. AF_NETLINK is 16, SOCK_RAW 3, NETLINK_ROUTE 0.
        descriptor = FileDescriptor(
            owning: Int32(truncatingIfNeeded: unsafe try systemCall(__NR_socket, 16, 3 | Int(O_CLOEXEC), 0)))
    }

    /// Sends one message and waits for the kernel's answer (the kernel answers within the call).
    public func send(_ message: [UInt8]) throws(LinuxError) {
        let number = descriptor.number
        // SAFETY: the array outlives the call.
        unsafe try message.withUnsafeBufferPointer { message throws(LinuxError) in
            _ = unsafe try systemCallRestarting(
                __NR_sendto, Int(number), Int(bitPattern: message.baseAddress), message.count, 0, 0, 0)
        }
    }

    /// The next answer: one or more messages.
    public func receive() throws(LinuxError) -> [UInt8] {
        var answer: [UInt8] = []
        _ = try read(descriptor.number, appendingTo: &answer, maximumBytes: 8 << 10)
        return answer
    }
}
