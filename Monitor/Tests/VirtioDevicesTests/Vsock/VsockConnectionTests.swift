import CLinux
import GuestMemory
import LinuxCalls
import Testing
import VirtioQueues
import VirtioTestSupport

@testable import VirtioDevices

@Suite struct VsockConnectionTests {
    @Test(arguments: [0, .max] as [UInt64])
    func `a host program reaches a port of the guest and data flows both ways`(features: UInt64) throws {
        let vsock = try VsockHarness(features: features)
        let (peer, connection) = try vsock.connectFromHost(port: 52)
        try peer.write("hello")
        let packets = vsock.received()
        #expect(packets.map(\.payload) == [Array("hello".utf8)])
        #expect(packets.first?.header.operationNumber == VsockOperation.readWrite.rawValue)
        vsock.send(.readWrite, connection, payload: Array("world".utf8))
        #expect(try peer.read(100) == Array("world".utf8))
        #expect(vsock.device.metrics.connectionsEstablished.value == 1)
    }

    @Test func `bytes written right after the request line are kept for the guest`() throws {
        let vsock = try VsockHarness()
        let peer = Peer(try UnixSocket.connect(vsock.path))
        try peer.write("CONNECT 7\nearly")
        let request = try #require(vsock.next(.request))
        vsock.send(.response, request)
        #expect(vsock.received().map(\.payload) == [Array("early".utf8)])
    }

    @Test func `a connection that the guest refuses is closed without an answer`() throws {
        let vsock = try VsockHarness()
        let peer = Peer(try UnixSocket.connect(vsock.path))
        try peer.write("CONNECT 9\n")
        let request = try #require(vsock.next(.request))
        vsock.send(.reset, request)
        #expect(try peer.read(10) == [])
        #expect(vsock.device.connections.count == 0)
    }

    @Test(arguments: ["CONNECT x\n", "GET / HTTP/1.1\n", "CONNECT 4294967296\n", "CONNECT \n", "connect 1 2\n", "\n"])
    func `a first line that is not a request closes the connection`(line: String) throws {
        let vsock = try VsockHarness()
        let peer = Peer(try UnixSocket.connect(vsock.path))
        try peer.write(line)
        vsock.harness.serve()
        vsock.harness.serve()
        // What was not read makes the end a reset.
        #expect((try? peer.read(10)) ?? [] == [])
        #expect(vsock.device.connections.count == 0)
    }

    @Test func `the request line is judged byte by byte`() {
        func judge(_ text: String) -> VsockHandshake.Judgement { VsockHandshake.judge(Array(text.utf8).span) }
        let line = "CONNECT 1024\n"
        for count in 0..<line.count { #expect(judge(String(line.prefix(count))) == .incomplete) }
        #expect(judge(line) == .port(1024, lineBytes: line.count))
        #expect(judge("connect 4294967295\r\nx") == .port(.max, lineBytes: 20))
        #expect(judge("CONNECT 000000000000000000000000") == .malformed)
    }

    @Test func `the guest reaches a program that listens at the port's name`() throws {
        let vsock = try VsockHarness()
        let (peer, connection) = try vsock.connectFromGuest(hostPort: 1024)
        vsock.send(.readWrite, connection, payload: [1, 2, 3])
        #expect(try peer.read(10) == [1, 2, 3])
        _ = try peer.write([4, 5])
        #expect(vsock.received().map(\.payload) == [[4, 5]])
    }

    @Test func `the guest is reset when nobody listens`() throws {
        let vsock = try VsockHarness()
        vsock.transmit(vsock.packet(1, hostPort: 99, guestPort: 5))
        let reset = try #require(vsock.next(.reset))
        #expect(reset.sourcePort == 99 && reset.destinationPort == 5)
        #expect(vsock.device.metrics.connectionsRefused.value == 1)
    }

    @Test func `a host program's end of sending and its closing are told apart`() throws {
        let vsock = try VsockHarness()
        let (peer, connection) = try vsock.connectFromHost()
        try peer.write("last")
        shutDownSocket(peer.number, 1)
        let packets = vsock.received()
        #expect(packets.first?.payload == Array("last".utf8))
        #expect(packets.last?.header.operationNumber == VsockOperation.shutdown.rawValue)
        #expect(packets.last?.header.flags == VsockShutdown.send.rawValue)
        // The other direction goes on.
        vsock.send(.readWrite, connection, payload: [7])
        #expect(try peer.read(10) == [7])
        peer.close()
        #expect(vsock.next(.shutdown)?.flags == VsockShutdown.both.rawValue)
        vsock.send(.reset, connection)
        #expect(vsock.device.connections.count == 0)
    }

    @Test func `the guest's end of sending ends the program's reading, not its writing`() throws {
        let vsock = try VsockHarness()
        let (peer, connection) = try vsock.connectFromHost()
        vsock.send(.readWrite, connection, payload: [1])
        vsock.send(.shutdown, connection, flags: VsockShutdown.send.rawValue)
        #expect(try peer.read(10) == [1])
        #expect(try peer.read(10) == [])
        try peer.write("still")
        #expect(vsock.received().map(\.payload) == [Array("still".utf8)])
        vsock.send(.shutdown, connection, flags: VsockShutdown.both.rawValue)
        #expect(vsock.next(.reset) != nil)
        #expect(vsock.device.connections.count == 0)
    }

    @Test func `the guest's end of receiving ends the program's writing`() throws {
        let vsock = try VsockHarness()
        let (peer, connection) = try vsock.connectFromHost()
        vsock.send(.shutdown, connection, flags: VsockShutdown.receive.rawValue)
        #expect(throws: LinuxError(EPIPE)) { try peer.write([1]) as Int }
        vsock.send(.readWrite, connection, payload: [9])
        #expect(try peer.read(10) == [9])
    }

    @Test func `a program that stops reading is told to the guest, and its bytes are dropped`() throws {
        let vsock = try VsockHarness()
        let (peer, connection) = try vsock.connectFromHost()
        shutDownSocket(peer.number, 0)
        vsock.send(.readWrite, connection, payload: [1])
        #expect(vsock.next(.shutdown)?.flags == VsockShutdown.receive.rawValue)
        for _ in 0..<20 { vsock.send(.readWrite, connection, payload: Array(repeating: 0, count: 32 << 10)) }
        #expect(vsock.next(.creditUpdate)?.forwardedBytes ?? 0 > 0)
    }

    @Test func `a reset of the guest brings what it sent before`() throws {
        let vsock = try VsockHarness()
        let (peer, connection) = try vsock.connectFromHost()
        vsock.send(.readWrite, connection, payload: [3])
        vsock.send(.reset, connection)
        #expect(try peer.read(10) == [3])
        #expect(try peer.read(10) == [])
    }

    @Test func `handshakes, requests and closings do not wait for ever`() throws {
        let vsock = try VsockHarness()
        vsock.device.handshakeNanoseconds = 1
        vsock.device.requestNanoseconds = 1
        vsock.device.closingNanoseconds = 1
        let silent = Peer(try UnixSocket.connect(vsock.path))
        let unanswered = Peer(try UnixSocket.connect(vsock.path))
        try unanswered.write("CONNECT 1\n")
        #expect(vsock.next(.request) != nil)
        #expect(vsock.next(.reset) != nil)
        #expect(try silent.read(1) == [])
        #expect(try unanswered.read(1) == [])
        vsock.device.requestNanoseconds = 1 << 40
        vsock.device.handshakeNanoseconds = 1 << 40
        let (peer, _) = try vsock.connectFromHost()
        peer.close()
        #expect(vsock.next(.shutdown) != nil)
        #expect(vsock.next(.reset) != nil)
        #expect(vsock.device.connections.count == 0)
        #expect(vsock.device.metrics.timeouts.value == 3)
    }

    @Test func `a reset of the device closes everything and a new driver begins anew`() throws {
        let vsock = try VsockHarness()
        let (peer, _) = try vsock.connectFromHost()
        #expect(vsock.harness.start())
        #expect(try peer.read(1) == [])
        vsock.addReceiveBuffers(16)
        _ = try vsock.connectFromHost()
    }

    @Test func `programs that come before the driver wait for it`() throws {
        let vsock = try VsockHarness()
        vsock.harness.write(0x70, 0)
        let peer = Peer(try UnixSocket.connect(vsock.path))
        try peer.write("CONNECT 5\n")
        vsock.harness.serve()
        #expect(try peer.read(1) == nil)
        #expect(vsock.harness.start())
        vsock.addReceiveBuffers(4)
        #expect(vsock.next(.request)?.destinationPort == 5)
    }

    @Test func `the name is removed at the end, and one that exists is an error that names it`() throws {
        let vsock = try VsockHarness()
        let path = vsock.path
        do {
            _ = try VsockBackend(path: path)
            Issue.record("two listeners at one name")
        } catch { #expect(error.description.contains("\(path) exists already")) }
        vsock.device.shutDown()
        #expect(throws: LinuxError(ENOENT)) { _ = try UnixSocket.connect(path).release() }
        #expect(throws: VsockError.self) { _ = try VsockBackend(path: String(repeating: "x", count: 100)) }
    }

    @Test func `the guest is told of a transport reset`() throws {
        let vsock = try VsockHarness()
        vsock.device.announceTransportReset()
        vsock.harness.drivers[2].add([.writable(4)])
        vsock.harness.notify(2)
        #expect(vsock.harness.drivers[2].takeUsed()?.writtenBytes == 4)
    }
}
