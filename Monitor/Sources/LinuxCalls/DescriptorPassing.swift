import CLinux

/// Sends a descriptor and one byte over a Unix socket.
public func sendDescriptor(_ descriptor: Int32, with byte: UInt8, over socket: Int32) throws(LinuxError) {
    try sendDescriptor(descriptor, with: [byte], over: socket)
}

/// Sends a descriptor and a few bytes over a Unix socket.
public func sendDescriptor(_ descriptor: Int32, with bytes: [UInt8], over socket: Int32) throws(LinuxError) {
    _ = try send(bytes, descriptor, over: socket)
}

/// Sends a few bytes over a Unix socket, and a descriptor once or twice. Nobody there is an error (EPIPE), no signal.
/// Source: unix(7), SCM_RIGHTS; cmsg(3).
/// - Returns: how many bytes were taken.
public func send(
    _ bytes: [UInt8], _ descriptor: Int32?, isTwice: Bool = false, over socket: Int32
) throws(LinuxError) -> Int {
    // struct cmsghdr: length, level SOL_SOCKET (1), type SCM_RIGHTS (1), then the numbers; 24 bytes with padding.
    let number = UInt64(UInt32(bitPattern: descriptor ?? 0))
    var control: (UInt64, UInt64, UInt64) = (isTwice ? 24 : 20, 1 | 1 << 32, isTwice ? number | number << 32 : number)
    // SAFETY: everything that the header points to outlives the call; the kernel only reads the bytes.
    return unsafe try bytes.span.withUnsafeBytes { bytes throws(LinuxError) -> Int in
        unsafe try withUnsafeMutablePointer(to: &control) { control throws(LinuxError) -> Int in
            var vector = unsafe linux_io_vector(
                base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), length: UInt(bytes.count))
            return unsafe try withUnsafeMutablePointer(to: &vector) { vector throws(LinuxError) -> Int in
                var header = unsafe linux_message_header(
                    address: nil, address_length: 0, vectors: vector, vector_count: 1,
                    control: descriptor == nil ? nil : control, control_length: descriptor == nil ? 0 : 24, flags: 0)
                return unsafe try withUnsafeMutablePointer(to: &header) { header throws(LinuxError) -> Int in
                    // MSG_NOSIGNAL
                    unsafe try systemCallRestarting(__NR_sendmsg, Int(socket), Int(bitPattern: header), 0x4000)
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

/// Receives what `sendDescriptor` sent; nil when the other ends are closed. Of several descriptors with one byte only the first comes.
/// - Throws: EBADMSG when none came with the byte.
public func receiveDescriptor(over socket: Int32) throws(LinuxError) -> ReceivedDescriptor? {
    let passed = PassedDescriptor()
    var bytes: [UInt8] = []
    guard try receive(over: socket, appendingTo: &bytes, maximumBytes: 1, passed) == 1 else { return nil }
    guard let descriptor = passed.take() else { throw LinuxError(EBADMSG) }
    return ReceivedDescriptor(descriptor: descriptor, byte: bytes[0])
}

/// A descriptor that came over a connection and that nobody has taken yet. Another one that comes closes it.
public final class PassedDescriptor {
    private var descriptor: FileDescriptor?

    public init() {}

    public func take() -> FileDescriptor? {
        var taken: FileDescriptor?
        swap(&taken, &descriptor)
        return taken
    }

    fileprivate func put(_ new: consuming FileDescriptor) { descriptor = consume new }
}

/// Receives at most `maximumBytes`, appended to `bytes`, and the descriptor that may come along with them; returns how many
/// came. Zero means that the other end is closed. Of several descriptors with the same bytes only the first comes.
public func receive(
    over socket: Int32, appendingTo bytes: inout [UInt8], maximumBytes: Int, _ passed: PassedDescriptor
) throws(LinuxError) -> Int {
    let before = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: maximumBytes))
    var count = 0
    defer { bytes.removeLast(maximumBytes - count) }
    var control: (UInt64, UInt64, UInt64) = (0, 0, 0)
    // SAFETY: everything that the header points to outlives the call; the kernel fills no more than the header says.
    count = unsafe try bytes.withUnsafeMutableBufferPointer { buffer throws(LinuxError) -> Int in
        unsafe try withUnsafeMutablePointer(to: &control) { control throws(LinuxError) -> Int in
            var vector = unsafe linux_io_vector(
                base: UnsafeMutableRawPointer(buffer.baseAddress)?.advanced(by: before), length: UInt(maximumBytes))
            return unsafe try withUnsafeMutablePointer(to: &vector) { vector throws(LinuxError) -> Int in
                // Room for one: with 24 bytes there would be for two.
                var header = unsafe linux_message_header(
                    address: nil, address_length: 0, vectors: vector, vector_count: 1, control: control,
                    control_length: 20, flags: 0)
                return unsafe try withUnsafeMutablePointer(to: &header) { header throws(LinuxError) -> Int in
                    // MSG_CMSG_CLOEXEC
                    unsafe try systemCallRestarting(__NR_recvmsg, Int(socket), Int(bitPattern: header), 0x4000_0000)
                }
            }
        }
    }
    if control.0 == 20, control.1 == 1 | 1 << 32 {
        passed.put(FileDescriptor(owning: Int32(truncatingIfNeeded: control.2)))
    }
    return count
}
