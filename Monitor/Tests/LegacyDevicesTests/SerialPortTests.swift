import LegacyDevices
import LinuxCalls
import Testing

@Suite final class SerialPortTests {
    let loop: EventLoop
    let output: FileDescriptor

    init() throws {
        loop = try EventLoop()
        output = try memoryFile(name: "console", lengthBytes: 0)
    }

    private func contents() throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Int(try output.sizeBytes()))
        let count = unsafe try bytes.withUnsafeMutableBytes { unsafe try readAll(output.number, into: $0, offset: 0) }
        return Array(bytes[..<count])
    }

    @Test func `what the guest writes reaches the host in order`() throws {
        let port = try SerialPort(loop: loop, input: nil, output: output.number)
        for byte in "hello\n".utf8 { port.write(0, byte) }
        port.flush()
        #expect(try contents() == Array("hello\n".utf8))
    }

    @Test func `a full transmitter reads as busy, and the rest is counted`() throws {
        let port = try SerialPort(loop: loop, input: nil, output: output.number)
        var written = 0
        while port.read(5) & 0x20 != 0 {
            port.write(0, 0x41)
            written += 1
        }
        #expect(written == 4096)
        port.write(0, 0x42)
        #expect(port.droppedBytes == 1)
        port.flush()
        #expect(port.read(5) & 0x20 != 0)
        #expect(try contents().count == 4096)
    }

    @Test func `the divisor hides behind its latch bit`() throws {
        let port = try SerialPort(loop: loop, input: nil, output: output.number)
        port.write(3, 0x83)
        port.write(0, 0x34)
        port.write(1, 0x12)
        #expect(port.read(0) == 0x34 && port.read(1) == 0x12)
        port.write(3, 0x03)
        #expect(port.read(1) == 0)
        port.flush()
        #expect(try contents().isEmpty)
    }

    @Test func `loopback gives the guest its own bytes and modem lines`() throws {
        let port = try SerialPort(loop: loop, input: nil, output: output.number)
        port.write(4, 0x1a)
        #expect(port.read(6) & 0xf0 == 0x90)
        port.write(0, 0x77)
        #expect(port.read(5) & 1 == 1)
        #expect(port.read(0) == 0x77)
    }

    @Test func `an enabled transmitter interrupt comes at once and is told once`() throws {
        let port = try SerialPort(loop: loop, input: nil, output: output.number)
        port.write(2, 0x01)
        port.write(1, 0x02)
        #expect(port.interrupt.drain() == 1)
        #expect(port.read(2) == 0xc2)
        #expect(port.read(2) == 0xc1)
    }

    @Test func `typed bytes arrive, more than the port holds too`() throws {
        let pipe = try PipePair()
        let port = try SerialPort(loop: loop, input: pipe.reading.number, output: output.number)
        try startThread { [loop] in loop.run() }
        defer { loop.stop() }
        let typed = (0..<1000).map { UInt8(truncatingIfNeeded: $0) }
        try writeAll(pipe.writing.number, typed)
        var received: [UInt8] = []
        while received.count < typed.count {
            if port.read(5) & 1 == 1 { received.append(port.read(0)) } else { sleep(nanoseconds: 100_000) }
        }
        #expect(received == typed)
    }

    @Test func `nonsense in every register is harmless`() throws {
        let port = try SerialPort(loop: loop, input: nil, output: output.number)
        for offset in UInt16(0)...7 {
            for value in UInt8.min...UInt8.max {
                port.write(offset, value)
                _ = port.read(offset)
            }
        }
    }
}
