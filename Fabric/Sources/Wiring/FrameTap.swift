import CLinux
public import LinuxCalls

/// Looks at all that a link sends and receives, in the network namespace that the thread is in when this is made. Source: packet(7).
public final class FrameTap {
    /// Enough of a frame to tell it from others.
    public static let mostFrameBytes = 2048
    /// For a moment in which this process is not given a processor.
    private static let bufferBytes: Int32 = 32 << 20

    /// Readable when a frame has gone by.
    public let descriptor: FileDescriptor
    private var frame = [UInt8](repeating: 0, count: mostFrameBytes)
    private var address = [UInt8](repeating: 0, count: 20)

    public init(_ link: UInt32) throws(LinuxError) {
        // SAFETY: no address is passed. AF_PACKET is 17, SOCK_RAW 3; it hears nothing until it is bound.
        let descriptor = FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: unsafe try systemCall(__NR_socket, 17, 3 | Int(O_CLOEXEC | O_NONBLOCK), 0)))
        var size = Self.bufferBytes
        let number = Int(descriptor.number)
        // SAFETY: the value outlives the call. SOL_SOCKET is 1, SO_RCVBUFFORCE 33.
        unsafe try withUnsafePointer(to: &size) { size throws(LinuxError) in
            _ = unsafe try systemCall(__NR_setsockopt, number, 1, 33, Int(bitPattern: size), 4)
        }
        // struct sockaddr_ll: family, protocol (ETH_P_ALL in network order; 2 bytes each), link (4), and what is not asked for here.
        var own: [UInt8] = [17, 0, 0, 3]
        for place in 0..<4 { own.append(UInt8(truncatingIfNeeded: link >> (8 * UInt32(place)))) }
        own += [UInt8](repeating: 0, count: 12)
        // SAFETY: the array outlives the call.
        unsafe try own.withUnsafeBufferPointer { own throws(LinuxError) in
            _ = unsafe try systemCall(__NR_bind, number, Int(bitPattern: own.baseAddress), own.count)
        }
        self.descriptor = descriptor
    }

    /// The next frame's beginning, how long it is, and whether the link sends it to who is behind it; nil when there is none.
    ///
    /// Trust: guests send what they like.
    public func next() -> (beginning: ArraySlice<UInt8>, length: Int, isSent: Bool)? {
        let number = Int(descriptor.number)
        var addressBytes = UInt32(address.count)
        // SAFETY: the kernel writes only inside the arrays and the value, during the call. MSG_TRUNC is 0x20: how long it was is said.
        let count = unsafe frame.withUnsafeMutableBufferPointer { frame in
            unsafe address.withUnsafeMutableBufferPointer { address in
                unsafe withUnsafeMutablePointer(to: &addressBytes) { addressBytes in
                    linux_system_call(
                        Int(__NR_recvfrom), number, Int(bitPattern: frame.baseAddress), frame.count, 0x20,
                        Int(bitPattern: address.baseAddress), Int(bitPattern: addressBytes))
                }
            }
        }
        guard count >= 0 else { return nil }
        // PACKET_OUTGOING
        return (frame[..<min(count, frame.count)], count, address[10] == 4)
    }

    /// How many frames went by and were not kept, since the last call.
    public func takeLost() -> UInt32 {
        var counts: (packets: UInt32, drops: UInt32) = (0, 0)
        var bytes = UInt32(8)
        let number = Int(descriptor.number)
        // SAFETY: the kernel writes eight bytes and a length into values that outlive the call. SOL_PACKET is 263, PACKET_STATISTICS 6.
        let result = unsafe withUnsafeMutablePointer(to: &counts) { counts in
            unsafe withUnsafeMutablePointer(to: &bytes) { bytes in
                linux_system_call(
                    Int(__NR_getsockopt), number, 263, 6, Int(bitPattern: counts), Int(bitPattern: bytes), 0)
            }
        }
        return result < 0 ? 0 : counts.drops
    }
}
