import CLinux
import GuestMemory
import LinuxCalls
import Testing
import VirtioQueues
import VirtioTestSupport

@testable import VirtioDevices

/// A vsock device with a guest's driver on one side and host programs' sockets on the other, all on one thread.
final class VsockHarness {
    static let guestCID: UInt32 = 42
    let path: String
    let device: VsockDevice
    let harness: DeviceHarness
    private var counter: UInt32 = 0
    private var waiting: [VsockHeader] = []

    init(receiveBuffers: Int = 64, features: UInt64 = .max) throws {
        path = "/tmp/vsock-test-\(getProcessNumber())-\(Clock.monotonic.nanoseconds())"
        device = try VsockDevice(
            guestCID: Self.guestCID, backend: try VsockBackend(path: path), loop: try DeviceHarness.makeLoop())
        harness = try DeviceHarness(device, memory: try GuestMemory(totalBytes: 8 << 20))
        #expect(harness.start(features: features))
        addReceiveBuffers(receiveBuffers)
        harness.drivers[0].wishInterrupt()
    }

    deinit { device.shutDown() }

    func addReceiveBuffers(_ count: Int, payloadBytes: Int = 4096) {
        for _ in 0..<count { harness.drivers[0].add([.writable(VsockHeader.sizeBytes + payloadBytes)]) }
        harness.notify(0)
    }

    /// What the guest has received, its buffers made available again.
    func received() -> [(header: VsockHeader, payload: [UInt8])] {
        var packets: [(VsockHeader, [UInt8])] = []
        harness.serve()
        while let (used, contents) = harness.drivers[0].takeUsedWithContents() {
            guard used.writtenBytes >= 44 else { continue }
            packets.append((Self.header(contents), Array(contents[44..<Int(used.writtenBytes)])))
            harness.drivers[0].add([.writable(contents.count)])
        }
        if !packets.isEmpty { harness.notify(0) }
        return packets
    }

    /// Packets until one of the operation comes. What came with it is for the next call: on a busy machine that is more.
    func next(_ operation: VsockOperation) -> VsockHeader? {
        for _ in 0..<4000 {
            waiting += received().map { $0.header }
            while !waiting.isEmpty {
                let header = waiting.removeFirst()
                if header.operationNumber == operation.rawValue { return header }
            }
            device.loop.runOnce(timeoutMilliseconds: 5)
        }
        return nil
    }

    static func header(_ bytes: [UInt8]) -> VsockHeader {
        var header = VsockHeader()
        unsafe header.withBytes { target in unsafe target.copyBytes(from: bytes[..<44]) }
        return header
    }

    func packet(
        _ operation: UInt16, hostPort: UInt32, guestPort: UInt32, payload: [UInt8] = [], flags: UInt32 = 0,
        bufferBytes: UInt32 = 1 << 18, forwardedBytes: UInt32 = 0, change: (inout VsockHeader) -> Void = { _ in }
    ) -> [UInt8] {
        var header = VsockHeader()
        header.sourceCID = UInt64(Self.guestCID)
        header.destinationCID = 2
        header.sourcePort = guestPort
        header.destinationPort = hostPort
        header.lengthBytes = UInt32(payload.count)
        header.operationNumber = operation
        header.flags = flags
        header.bufferBytes = bufferBytes
        header.forwardedBytes = forwardedBytes
        change(&header)
        return unsafe header.withBytes { bytes in unsafe [UInt8](UnsafeRawBufferPointer(bytes)) } + payload
    }

    func transmit(_ bytes: [UInt8]) {
        harness.drivers[1].add([.readable(bytes)])
        harness.notify(1)
        while harness.drivers[1].takeUsed() != nil {}
    }

    func send(
        _ operation: VsockOperation, _ connection: VsockHeader, payload: [UInt8] = [], flags: UInt32 = 0,
        bufferBytes: UInt32 = 1 << 18, forwardedBytes: UInt32 = 0
    ) {
        transmit(
            packet(
                operation.rawValue, hostPort: connection.sourcePort, guestPort: connection.destinationPort,
                payload: payload, flags: flags, bufferBytes: bufferBytes, forwardedBytes: forwardedBytes))
    }

    /// A connection made by a host program; the header is of a packet to the guest.
    func connectFromHost(port: UInt32 = 1024, bufferBytes: UInt32 = 1 << 18) throws -> (Peer, VsockHeader) {
        let peer = Peer(try UnixSocket.connect(path))
        try peer.write("CONNECT \(port)\n")
        let request = try #require(next(.request))
        #expect(request.destinationPort == port && request.sourceCID == 2)
        send(.response, request, bufferBytes: bufferBytes)
        #expect(try peer.read(64) == Array("OK \(request.sourcePort)\n".utf8))
        return (peer, request)
    }

    /// A connection made by the guest to a listening host program.
    func connectFromGuest(hostPort: UInt32, guestPort: UInt32 = 700) throws -> (Peer, VsockHeader) {
        let name = "\(path)_\(hostPort)"
        let listener = try UnixSocket.listen(name)
        defer { try? removeFile(name) }
        transmit(packet(1, hostPort: hostPort, guestPort: guestPort))
        let response = try #require(next(.response))
        guard let socket = try UnixSocket.accept(listener.number) else { throw LinuxError(EAGAIN) }
        return (Peer(socket), response)
    }
}

/// A host program's end of a connection.
final class Peer {
    var socket: FileDescriptor?
    var number: Int32 {
        switch socket {
        case .some(let socket): socket.number
        case .none: -1
        }
    }

    init(_ socket: consuming FileDescriptor) { self.socket = consume socket }

    func write(_ text: String) throws { #expect(try write(Array(text.utf8)) == text.utf8.count) }

    /// Sends what there is room for.
    func write(_ bytes: [UInt8]) throws -> Int {
        let number = number
        return try unsafe bytes.withUnsafeBytes { unsafe try StreamSocket.send(number, $0) }
    }

    /// What waits, at most so much; empty at the end, nil when nothing waits.
    func read(_ count: Int) throws -> [UInt8]? {
        var bytes: [UInt8] = []
        do throws(LinuxError) { _ = try LinuxCalls.read(number, appendingTo: &bytes, maximumBytes: count) } catch {
            if error.number == EAGAIN { return nil }
            throw error
        }
        return bytes
    }

    func close() { socket = nil }
}

func getProcessNumber() -> Int { linux_system_call(Int(__NR_getpid), 0, 0, 0, 0, 0, 0) }
