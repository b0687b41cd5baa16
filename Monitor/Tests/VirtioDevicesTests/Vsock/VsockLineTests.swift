import Testing

@testable import VirtioDevices

/// The lines that are put together byte by byte.
struct VsockLineTests {
    @Test("an acceptance names the host's port", arguments: [0, 9, 10, 1_073_741_824, 4_294_967_295] as [UInt32])
    func acceptance(port: UInt32) {
        #expect(VsockHandshake.acceptance(hostPort: port) == Array("OK \(port)\n".utf8))
    }

    @Test("a socket's name ends with the port", arguments: [0, 52, 99, 100, 4_294_967_295] as [UInt32])
    func socketName(port: UInt32) {
        #expect(VsockHandshake.line("/run/a b/vsock".utf8, 0x5f, port) == Array("/run/a b/vsock_\(port)".utf8))
    }
}
