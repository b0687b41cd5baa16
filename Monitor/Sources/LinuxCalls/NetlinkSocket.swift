import CLinux

/// A socket on which the kernel is asked to change its network, or tells what changes. Source: netlink(7), rtnetlink(7).
public struct NetlinkSocket: ~Copyable, Sendable {
    /// Readable when the kernel has something to say.
    public let descriptor: FileDescriptor

    /// - Parameter groups: the RTMGRP bits of the changes that the kernel tells of by itself.
    public init(_ family: NetlinkFamily = .route, groups: UInt32 = 0) throws(LinuxError) {
        // SAFETY: no address is passed. AF_NETLINK is 16, SOCK_RAW 3.
        let descriptor = FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: unsafe try systemCall(
                    __NR_socket, 16, 3 | Int(O_CLOEXEC), Int(family.rawValue))))
        if groups != 0 {
            let number = descriptor.number
            var address = linux_netlink_address(family: 16, padding: 0, port: 0, groups: groups)
            // SAFETY: the kernel reads the twelve bytes of the structure during the call.
            unsafe try withUnsafeMutablePointer(to: &address) { address throws(LinuxError) in
                _ = unsafe try systemCall(__NR_bind, Int(number), Int(bitPattern: address), 12)
            }
        }
        self.descriptor = descriptor
    }

    /// Sends one datagram of one or more messages. The kernel carries them out, and answers, within the call.
    public func send(_ messages: [UInt8]) throws(LinuxError) {
        let number = descriptor.number
        // SAFETY: the array outlives the call.
        unsafe try messages.withUnsafeBufferPointer { messages throws(LinuxError) in
            _ = unsafe try systemCallRestarting(
                __NR_sendto, Int(number), Int(bitPattern: messages.baseAddress), messages.count, 0, 0, 0)
        }
    }

    /// The next datagram of the kernel, whatever its length: one or more messages. Never waits.
    /// - Throws: EAGAIN when there is none, ENOBUFS when some have been lost.
    public func receive() throws(LinuxError) -> [UInt8] {
        let number = Int(descriptor.number)
        let dontWait = 0x40
        while true {
            // Its length first: MSG_PEEK, MSG_TRUNC.
            // SAFETY: there is no buffer.
            let length = unsafe try systemCallRestarting(__NR_recvfrom, number, 0, 0, dontWait | 0x02 | 0x20)
            var datagram = [UInt8](repeating: 0, count: length)
            var sender = linux_netlink_address()
            var senderBytes: UInt32 = 12
            // SAFETY: the kernel writes only inside the array and the two values, during the call.
            let count = unsafe try datagram.withUnsafeMutableBufferPointer { buffer throws(LinuxError) in
                unsafe try withUnsafeMutablePointer(to: &sender) { sender throws(LinuxError) in
                    unsafe try withUnsafeMutablePointer(to: &senderBytes) { senderBytes throws(LinuxError) in
                        unsafe try systemCallRestarting(
                            __NR_recvfrom, number, Int(bitPattern: buffer.baseAddress), buffer.count, dontWait,
                            Int(bitPattern: sender), Int(bitPattern: senderBytes))
                    }
                }
            }
            // The port of the kernel is 0; whoever else sends is not heard.
            if sender.port == 0, count == length { return datagram }
        }
    }
}

/// Which part of the kernel is spoken to: NETLINK_ROUTE, NETLINK_NETFILTER. Source: netlink(7).
public enum NetlinkFamily: UInt8, Sendable {
    case route = 0
    case netfilter = 12
}
