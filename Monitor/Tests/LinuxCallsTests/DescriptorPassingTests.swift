import CLinux
import Testing

@testable import LinuxCalls

@Suite struct DescriptorPassingTests {
    /// Several with one message, which our own `sendDescriptor` does not do.
    private func send(_ descriptors: [Int32], over socket: Int32) throws {
        // struct cmsghdr: length, level SOL_SOCKET, type SCM_RIGHTS; then the numbers, filled up to eight bytes.
        var control: [UInt64] = [16 + 4 * UInt64(descriptors.count), 1 | 1 << 32]
        for pair in stride(from: 0, to: descriptors.count, by: 2) {
            let second = pair + 1 < descriptors.count ? descriptors[pair + 1] : 0
            control.append(UInt64(UInt32(bitPattern: descriptors[pair])) | UInt64(UInt32(bitPattern: second)) << 32)
        }
        var byte: UInt8 = 7
        let controlBytes = UInt(control[0])
        // SAFETY: everything that the header points to outlives the call; the kernel only reads it.
        unsafe try control.withUnsafeMutableBytes { control in
            unsafe try withUnsafeMutablePointer(to: &byte) { byte in
                var vector = unsafe linux_io_vector(base: byte, length: 1)
                unsafe try withUnsafeMutablePointer(to: &vector) { vector in
                    var header = unsafe linux_message_header(
                        address: nil, address_length: 0, vectors: vector, vector_count: 1,
                        control: control.baseAddress, control_length: controlBytes, flags: 0)
                    unsafe try withUnsafeMutablePointer(to: &header) { header in
                        _ = unsafe try systemCallRestarting(__NR_sendmsg, Int(socket), Int(bitPattern: header), 0)
                    }
                }
            }
        }
    }

    /// Whether somebody else still holds the pipe's writing end.
    private func isHeldElsewhere(_ pipe: consuming PipePair) throws -> Bool {
        let reading = try pipe.reading.duplicate()
        drop(pipe)
        var bytes: [UInt8] = []
        try setNonBlocking(reading.number, true)
        do throws(LinuxError) { return try read(reading.number, appendingTo: &bytes, maximumBytes: 1) != 0 } catch {
            return true
        }
    }

    private func drop(_ pipe: consuming PipePair) {}

    @Test(arguments: [2, 3, 5]) func `of several descriptors with one byte the first comes and none is left open`(
        count: Int
    ) throws {
        let sockets = try StreamSocket.pair()
        let first = try PipePair()
        let second = try PipePair()
        var sent = [Int32](repeating: second.writing.number, count: count)
        sent[0] = first.writing.number
        try send(sent, over: sockets.first.number)
        guard let received = try receiveDescriptor(over: sockets.second.number) else {
            Issue.record("nothing came")
            return
        }
        let byte = received.byte
        #expect(byte == 7)
        #expect(try !isHeldElsewhere(second))
        #expect(try isHeldElsewhere(first))
        let number = received.descriptor.number
        #expect(number >= 0)
    }

    @Test func `a byte without a descriptor is told`() throws {
        let sockets = try StreamSocket.pair()
        try writeAll(sockets.first.number, "x")
        #expect(throws: LinuxError.self) { _ = try receiveDescriptor(over: sockets.second.number) }
    }
}
