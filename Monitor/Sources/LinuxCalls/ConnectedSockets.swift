import CLinux

/// Sending and receiving on connected sockets without ever blocking and without SIGPIPE. Source: send(2), recv(2).
extension StreamSocket {
    private static let dontWaitNoSignal = 0x40 | 0x4000
    private static let dontWait = 0x40
    private static let peekFlag = 0x02

    /// Sends the vectors' bytes; returns how many were taken.
    /// - Throws: EAGAIN when there is no room; EPIPE or ECONNRESET when the peer does not receive any more.
    /// - Safety: every vector must point to memory that stays mapped during the call.
    @unsafe @inline(__always)
    public static func send(
        _ descriptor: Int32, _ vectors: UnsafeBufferPointer<IOVector>
    ) throws(LinuxError) -> Int {
        var message = unsafe linux_message_header()
        unsafe message.vectors = UnsafeMutablePointer(mutating: vectors.baseAddress)
        unsafe message.vector_count = UInt(vectors.count)
        // SAFETY: the kernel reads the header and what the vectors name during the call.
        return unsafe try withUnsafeMutablePointer(to: &message) { pointer throws(LinuxError) in
            unsafe try systemCallRestarting(
                __NR_sendmsg, Int(descriptor), Int(bitPattern: pointer), dontWaitNoSignal)
        }
    }

    /// Sends bytes; returns how many were taken. Throws as the other.
    public static func send(_ descriptor: Int32, _ buffer: UnsafeRawBufferPointer) throws(LinuxError) -> Int {
        // SAFETY: the kernel reads only inside the buffer, during the call.
        unsafe try systemCallRestarting(
            __NR_sendto, Int(descriptor), Int(bitPattern: buffer.baseAddress), buffer.count, dontWaitNoSignal)
    }

    /// Copies what waits to be received, without taking it. Zero means that the peer has ended its sending.
    public static func peek(
        _ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer
    ) throws(LinuxError) -> Int {
        // SAFETY: the kernel writes only inside the buffer, during the call.
        unsafe try systemCallRestarting(
            __NR_recvfrom, Int(descriptor), Int(bitPattern: buffer.baseAddress), buffer.count, dontWait | peekFlag)
    }
}
