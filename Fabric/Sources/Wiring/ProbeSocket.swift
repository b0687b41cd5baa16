import CLinux
public import LinuxCalls

/// Sends frames of a type that nobody else uses out at links, and takes those of them that arrive at links, in the network namespace that
/// the thread is in when this is made. Source: packet(7).
public struct ProbeSocket: ~Copyable, Sendable {
    /// The first of the two that are for whatever one likes. Source: IEEE 802, "Local Experimental Ethertype 1".
    public static let etherType: UInt16 = 0x88b5
    /// What a frame's contents begin with.
    public static let tokenBytes = 16
    private static let mostFrameBytes = 128

    /// Readable when a frame has arrived.
    public let descriptor: FileDescriptor

    /// Where the contents of a datagram of UDP begin in a frame, by the kind of the packet around it, which has no options.
    public static let datagramPlaces: [(etherType: UInt16, place: Int)] = [(0x0800, 42), (0x86dd, 62)]

    /// - Parameter token: frames without it are not kept: whoever sends many of the same type takes no room.
    public init(token: [UInt8]) throws(LinuxError) {
        try self.init(Self.filter(token, at: 14), etherType: Self.etherType, link: 0)
    }

    /// Takes those that are datagrams, and arrive at one link.
    public init(token: [UInt8], inDatagramsAt link: UInt32) throws(LinuxError) {
        var program: [sock_filter] = []
        for (etherType, place) in Self.datagramPlaces {
            let rest = Self.filter(token, at: place)
            // BPF_LD | BPF_H | BPF_ABS; BPF_JMP | BPF_JEQ | BPF_K, which leads behind the rest but for this kind.
            program.append(sock_filter(code: 0x28, jt: 0, jf: 0, k: 12))
            program.append(sock_filter(code: 0x15, jt: 0, jf: UInt8(rest.count), k: UInt32(etherType)))
            program += rest
        }
        program.append(sock_filter(code: 0x06, jt: 0, jf: 0, k: 0))
        // ETH_P_ALL
        try self.init(program, etherType: 0x0003, link: link)
    }

    private init(_ filter: [sock_filter], etherType: UInt16, link: UInt32) throws(LinuxError) {
        // It hears nothing until it has its filter.
        // SAFETY: no address is passed. AF_PACKET is 17, SOCK_RAW 3.
        let descriptor = FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: unsafe try systemCall(__NR_socket, 17, 3 | Int(O_CLOEXEC | O_NONBLOCK), 0)))
        var program = filter
        let number = Int(descriptor.number)
        // SAFETY: the kernel copies the program, which outlives the call. SOL_SOCKET is 1, SO_ATTACH_FILTER 26.
        unsafe try program.withUnsafeMutableBufferPointer { program throws(LinuxError) in
            var head = unsafe sock_fprog(len: UInt16(program.count), filter: program.baseAddress)
            unsafe try withUnsafePointer(to: &head) { head throws(LinuxError) in
                _ = unsafe try systemCall(
                    __NR_setsockopt, number, 1, 26, Int(bitPattern: head), MemoryLayout<sock_fprog>.size)
            }
        }
        var address: [UInt8] = [17, 0, UInt8(etherType >> 8), UInt8(etherType & 0xff)]
        for place in 0..<4 { address.append(UInt8(truncatingIfNeeded: link >> (8 * UInt32(place)))) }
        address += [UInt8](repeating: 0, count: 12)
        // SAFETY: the array outlives the call.
        unsafe try address.withUnsafeBufferPointer { address throws(LinuxError) in
            _ = unsafe try systemCall(__NR_bind, number, Int(bitPattern: address.baseAddress), address.count)
        }
        self.descriptor = descriptor
    }

    /// Classic BPF: the token's words must stand at a place of the frame. All of it is kept then, or nothing.
    private static func filter(_ token: [UInt8], at start: Int) -> [sock_filter] {
        let words = UInt8(tokenBytes / 4)
        var program: [sock_filter] = []
        for word in 0..<words {
            let place = Int(word) * 4
            let value = token[place..<(place + 4)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            // BPF_LD | BPF_W | BPF_ABS; BPF_JMP | BPF_JEQ | BPF_K, which leads to the last but for the right word.
            program.append(sock_filter(code: 0x20, jt: 0, jf: 0, k: UInt32(start + place)))
            program.append(sock_filter(code: 0x15, jt: 0, jf: (words - word) * 2 - 1, k: value))
        }
        // BPF_RET | BPF_K
        program.append(sock_filter(code: 0x06, jt: 0, jf: 0, k: UInt32(mostFrameBytes)))
        program.append(sock_filter(code: 0x06, jt: 0, jf: 0, k: 0))
        return program
    }

    /// Sends a whole frame, with its Ethernet header, out at a link.
    /// - Throws: ENETDOWN when that is down, ENXIO when it is not there.
    public func send(_ frame: [UInt8], over link: UInt32) throws(LinuxError) {
        try FrameSender.send(frame, over: link, by: descriptor.number)
    }

    /// The next frame that has arrived, as far as probes are long, and the link at which it did; nil when there is none.
    ///
    /// Trust: guests send what they like.
    public func receive() -> (frame: [UInt8], link: UInt32)? {
        let number = Int(descriptor.number)
        var frame = [UInt8](repeating: 0, count: Self.mostFrameBytes)
        var address = [UInt8](repeating: 0, count: 20)
        var addressBytes = UInt32(address.count)
        // SAFETY: the kernel writes only inside the arrays and the value, during the call.
        let count = unsafe frame.withUnsafeMutableBufferPointer { frame in
            unsafe address.withUnsafeMutableBufferPointer { address in
                unsafe withUnsafeMutablePointer(to: &addressBytes) { addressBytes in
                    linux_system_call(
                        Int(__NR_recvfrom), number, Int(bitPattern: frame.baseAddress), frame.count, 0,
                        Int(bitPattern: address.baseAddress), Int(bitPattern: addressBytes))
                }
            }
        }
        guard count >= 0 else { return nil }
        var link: UInt32 = 0
        for place in 0..<4 { link |= UInt32(address[4 + place]) << (8 * UInt32(place)) }
        return (Array(frame[..<count]), link)
    }
}
