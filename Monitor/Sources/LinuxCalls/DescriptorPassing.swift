import CLinux

/// Sends a descriptor and one byte over a Unix socket.
public func sendDescriptor(_ descriptor: Int32, with byte: UInt8, over socket: Int32) throws(LinuxError) {
    try sendDescriptor(descriptor, with: [byte], over: socket)
}

/// Sends a descriptor and a few bytes over a Unix socket. Source: unix(7), SCM_RIGHTS; cmsg(3).
public func sendDescriptor(_ descriptor: Int32, with bytes: [UInt8], over socket: Int32) throws(LinuxError) {
    // struct cmsghdr: length 20, level SOL_SOCKET (1), type SCM_RIGHTS (1), then the number; 24 bytes with padding.
    var control: (UInt64, UInt64, UInt64) = (20, 1 | 1 << 32, UInt64(UInt32(bitPattern: descriptor)))
    // SAFETY: everything that the header points to outlives the call; the kernel only reads the bytes.
    unsafe try bytes.span.withUnsafeBytes { bytes throws(LinuxError) in
        unsafe try withUnsafeMutablePointer(to: &control) { control throws(LinuxError) in
            var vector = unsafe linux_io_vector(
                base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), length: UInt(bytes.count))
            unsafe try withUnsafeMutablePointer(to: &vector) { vector throws(LinuxError) in
                var header = unsafe linux_message_header(
                    address: nil, address_length: 0, vectors: vector, vector_count: 1, control: control,
                    control_length: 24, flags: 0)
                unsafe try withUnsafeMutablePointer(to: &header) { header throws(LinuxError) in
                    _ = unsafe try systemCallRestarting(__NR_sendmsg, Int(socket), Int(bitPattern: header), 0)
                }
            }
        }
    }
}

/// A descriptor that came over a socket, and the byte that came with it.
@frozen public struct ReceivedDescriptor: ~Copyable {
    public let descriptor: FileDescriptor
    public let byte: UInt8
}

/// Receives what `sendDescriptor` sent; nil when the other ends are closed.
public func receiveDescriptor(over socket: Int32) throws(LinuxError) -> ReceivedDescriptor? {
    var control: (UInt64, UInt64, UInt64) = (0, 0, 0)
    var byte: UInt8 = 0
    // SAFETY: everything that the header points to outlives the call; the kernel fills at most 24 bytes and one.
    let count = unsafe try withUnsafeMutablePointer(to: &byte) { byte throws(LinuxError) -> Int in
        unsafe try withUnsafeMutablePointer(to: &control) { control throws(LinuxError) -> Int in
            var vector = unsafe linux_io_vector(base: byte, length: 1)
            return unsafe try withUnsafeMutablePointer(to: &vector) { vector throws(LinuxError) -> Int in
                var header = unsafe linux_message_header(
                    address: nil, address_length: 0, vectors: vector, vector_count: 1, control: control,
                    control_length: 24, flags: 0)
                return unsafe try withUnsafeMutablePointer(to: &header) { header throws(LinuxError) -> Int in
                    // MSG_CMSG_CLOEXEC
                    unsafe try systemCallRestarting(__NR_recvmsg, Int(socket), Int(bitPattern: header), 0x4000_0000)
                }
            }
        }
    }
    guard count == 1 else { return nil }
    guard control.0 == 20, control.1 == 1 | 1 << 32 else { throw LinuxError(EBADMSG) }
    return ReceivedDescriptor(descriptor: FileDescriptor(owning: Int32(truncatingIfNeeded: control.2)), byte: byte)
}
