import CLinux
public import LinuxCalls

/// A frame at a link, as a packet socket tells of it.
public struct LinkFrame: Sendable {
    /// The kernel's time, since 1970.
    public var nanoseconds: UInt64
    /// The link's number in its namespace.
    public var link: UInt32
    /// Whether the kernel sent it out at the link; otherwise it arrived there.
    public var isSent: Bool
    /// Whether it arrived and is addressed to another station than the link's own.
    public var isForOthers: Bool
    /// Its beginning, as much as was asked for.
    public var bytes: [UInt8]
    public var length: Int
}

/// Sees every frame that arrives at one link or leaves it, or at any, in the network namespace that the thread is in when this is made. Nobody
/// notices: what there is no room for is not kept, and counted. Source: packet(7).
public struct CaptureSocket: ~Copyable, Sendable {
    /// Readable when there is a frame.
    public let descriptor: FileDescriptor

    /// - Parameters:
    ///   - link: 0: all that there are and will be.
    ///   - program: says how many bytes of a frame are kept; none at all: it is not wanted.
    ///   - bufferBytes: room for frames that have not been taken.
    ///   - seesAll: for a bridge: also what goes from port to port.
    /// - Throws: ENODEV when the link is not there, EPERM without CAP_NET_RAW.
    public init(
        link: UInt32, program: [FilterInstruction], bufferBytes: Int32, seesAll: Bool
    ) throws(LinuxError) {
        // It hears nothing until it is bound, and then all that is wanted.
        // SAFETY: no address is passed. AF_PACKET is 17, SOCK_RAW 3.
        let descriptor = FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: unsafe try systemCall(__NR_socket, 17, 3 | Int(O_CLOEXEC | O_NONBLOCK), 0)))
        let number = descriptor.number
        // SAFETY: the kernel copies the program, which outlives the call. struct sock_fprog: a count of 16 bits, and at offset 8
        // the address.
        try unsafe program.withUnsafeBufferPointer { program throws(LinuxError) in
            let head = [UInt64(program.count), UInt64(UInt(bitPattern: program.baseAddress))]
            // SOL_SOCKET is 1, SO_ATTACH_FILTER 26.
            try Self.set(number, 1, 26, head)
        }
        // SO_TIMESTAMPNS, and with CAP_NET_ADMIN SO_RCVBUFFORCE; SOL_PACKET, PACKET_AUXDATA.
        try Self.set(number, 1, 35, [UInt32(1)])
        do throws(LinuxError) { try Self.set(number, 1, 33, [bufferBytes]) } catch {
            try Self.set(number, 1, 8, [bufferBytes])
        }
        try Self.set(number, 263, 8, [UInt32(1)])
        // struct packet_mreq: link (4), type (2): PACKET_MR_PROMISC; length (2), address (8). It goes with the socket.
        if seesAll { try Self.set(number, 263, 1, [link, 1, 0, 0]) }
        // struct sockaddr_ll: family, protocol (2 bytes each; ETH_P_ALL in network order), link (4), and what only those who
        // receive are told (12).
        let address: [UInt32] = [17 | 0x0300 << 16, link, 0, 0, 0]
        // SAFETY: the array outlives the call.
        try unsafe address.withUnsafeBufferPointer { address throws(LinuxError) in
            _ = unsafe try systemCall(__NR_bind, Int(number), Int(bitPattern: address.baseAddress), 20)
        }
        self.descriptor = descriptor
    }

    private static func set<Value: BitwiseCopyable>(
        _ descriptor: Int32, _ level: Int, _ option: Int, _ value: [Value]
    ) throws(LinuxError) {
        // SAFETY: the array outlives the call.
        try unsafe value.withUnsafeBufferPointer { value throws(LinuxError) in
            _ = unsafe try systemCall(
                __NR_setsockopt, Int(descriptor), level, option, Int(bitPattern: value.baseAddress),
                value.count * MemoryLayout<Value>.stride)
        }
    }

    /// The next frame; nil when there is none.
    ///
    /// Trust: guests send what they like; the kernel says how long it is.
    /// - Parameter room: where it is put first: at least as long as what is kept of a frame.
    /// - Throws: ENETDOWN when the link has been switched off or is gone, once.
    public borrowing func receive(over room: inout [UInt8]) throws(LinuxError) -> LinkFrame? {
        let number = Int(descriptor.number)
        var sender = [UInt8](repeating: 0, count: 20)
        // Two control messages: 16 bytes of head each, with 16 and 20 bytes in them.
        var control = [UInt8](repeating: 0, count: 128)
        var (count, controlCount) = (0, 0)
        do throws(LinuxError) {
            // SAFETY: everything that the header points to outlives the call; the kernel fills no more than the header says.
            unsafe try room.withUnsafeMutableBufferPointer { room throws(LinuxError) in
                unsafe try sender.withUnsafeMutableBufferPointer { sender throws(LinuxError) in
                    unsafe try control.withUnsafeMutableBufferPointer { control throws(LinuxError) in
                        var vector = unsafe linux_io_vector(base: room.baseAddress, length: UInt(room.count))
                        unsafe try withUnsafeMutablePointer(to: &vector) { vector throws(LinuxError) in
                            var header = unsafe linux_message_header(
                                address: sender.baseAddress, address_length: UInt32(sender.count), vectors: vector,
                                vector_count: 1, control: control.baseAddress, control_length: UInt(control.count),
                                flags: 0)
                            count = unsafe try withUnsafeMutablePointer(to: &header) { header throws(LinuxError) in
                                unsafe try systemCallRestarting(__NR_recvmsg, number, Int(bitPattern: header), 0)
                            }
                            controlCount = unsafe Int(header.control_length)
                        }
                    }
                }
            }
        } catch {
            if error == .tryAgain { return nil }
            throw error
        }
        // struct sockaddr_ll: link at offset 4, and at 10 PACKET_OTHERHOST or PACKET_OUTGOING.
        let link = (0..<4).reduce(UInt32(0)) { $0 | UInt32(sender[4 + $1]) << UInt32(8 * $1) }
        var frame = LinkFrame(
            nanoseconds: 0, link: link, isSent: sender[10] == 4, isForOthers: sender[10] == 3,
            bytes: Array(room[..<min(count, room.count)]), length: count)
        Self.note(control[..<min(controlCount, control.count)], in: &frame)
        return frame
    }

    /// `struct cmsghdr`: length (8 bytes), level (4), type (4), and what it holds, up to a multiple of eight.
    private static func note(_ control: ArraySlice<UInt8>, in frame: inout LinkFrame) {
        var rest = control
        func number(_ place: Int, _ bytes: Int) -> UInt64 {
            (0..<bytes).reduce(0) { $0 | UInt64(rest[rest.startIndex + place + $1]) << UInt64(8 * $1) }
        }
        while rest.count >= 16, let length = Int(exactly: number(0, 8)), length >= 16, length <= rest.count {
            if number(8, 8) == 1 | 35 << 32, length >= 32 {
                frame.nanoseconds = number(16, 8) &* 1_000_000_000 &+ number(24, 8)
            } else if number(8, 8) == 263 | 8 << 32, length >= 36 {
                // struct tpacket_auxdata: status, length, kept length (4 each), two places, tag, its type (2 each).
                frame.length = Int(number(20, 4))
                // TP_STATUS_VLAN_VALID: the kernel has taken the tag out of the frame; TP_STATUS_VLAN_TPID_VALID.
                let status = number(16, 4)
                if status & 0x10 != 0, frame.bytes.count >= 12 {
                    let type = status & 0x40 != 0 ? number(34, 2) : 0x8100
                    let tag = number(32, 2)
                    frame.bytes.insert(
                        contentsOf: [type >> 8, type, tag >> 8, tag].map { UInt8(truncatingIfNeeded: $0) }, at: 12)
                    frame.length += 4
                }
            }
            rest = rest.dropFirst((length + 7) & ~7)
        }
    }

    /// What has come that was wanted, and what of it there was no room for, since the last call.
    public borrowing func takeCounts() -> (frames: UInt64, drops: UInt64) {
        let number = Int(descriptor.number)
        var counts = (UInt32(0), UInt32(0))
        var length: UInt32 = 8
        // SAFETY: the kernel fills the two numbers and the length during the call. SOL_PACKET, PACKET_STATISTICS.
        let result = unsafe withUnsafeMutablePointer(to: &counts) { counts in
            unsafe withUnsafeMutablePointer(to: &length) { length in
                linux_system_call(
                    Int(__NR_getsockopt), number, 263, 6, Int(bitPattern: counts), Int(bitPattern: length), 0)
            }
        }
        return result < 0 ? (0, 0) : (UInt64(counts.0), UInt64(counts.1))
    }
}
