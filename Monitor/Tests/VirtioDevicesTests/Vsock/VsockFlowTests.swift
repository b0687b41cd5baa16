import GuestMemory
import LinuxCalls
import Testing
import VirtioQueues
import VirtioTestSupport

@testable import VirtioDevices

@Suite struct VsockFlowTests {
    @Test func `no more is sent than the guest has room for, and it is asked for more`() throws {
        let vsock = try VsockHarness()
        let (peer, connection) = try vsock.connectFromHost(bufferBytes: 8192)
        let data = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        #expect(try peer.write(data) == data.count)
        var packets = vsock.received()
        var got = packets.flatMap(\.payload)
        #expect(got.count == 8192)
        #expect(packets.last?.header.operationNumber == VsockOperation.creditRequest.rawValue)
        #expect(vsock.received().isEmpty)
        vsock.send(.creditUpdate, connection, bufferBytes: 8192, forwardedBytes: 8192)
        packets = vsock.received()
        got += packets.flatMap(\.payload)
        #expect(got.count == 16384)
        vsock.send(.creditUpdate, connection, bufferBytes: 8192, forwardedBytes: 16384)
        got += vsock.received().flatMap(\.payload)
        #expect(got == data)
    }

    @Test func `a program that does not read stalls only its own connection and loses nothing`() throws {
        let vsock = try VsockHarness()
        let (slow, slowConnection) = try vsock.connectFromHost(port: 1)
        let (fast, fastConnection) = try vsock.connectFromHost(port: 2)
        var sent: [UInt8] = []
        let room = Int(slowConnection.bufferBytes)
        var told: UInt32 = 0
        // As much as credit allows, and the device tells of no more.
        while true {
            let free = room - Int(UInt32(sent.count) &- told)
            let part = (0..<min(free, 32 << 10)).map { UInt8(truncatingIfNeeded: ($0 + sent.count) / 3) }
            if part.isEmpty { break }
            vsock.send(.readWrite, slowConnection, payload: part)
            sent += part
            for packet in vsock.received() { told = packet.header.forwardedBytes }
        }
        #expect(sent.count >= room)
        vsock.send(.readWrite, fastConnection, payload: [5])
        #expect(try fast.read(10) == [5])
        vsock.send(.shutdown, slowConnection, flags: VsockShutdown.both.rawValue)
        #expect(vsock.next(.reset) != nil)
        var got: [UInt8] = []
        for _ in 0..<1000 where got.count < sent.count {
            got += try slow.read(64 << 10) ?? []
            vsock.harness.serve()
        }
        #expect(got == sent)
        #expect(try slow.read(1) == [])
        #expect(vsock.device.connections.count == 1)
    }

    @Test func `the guest is told when half of the room it knows of is used up`() throws {
        let vsock = try VsockHarness()
        let (peer, connection) = try vsock.connectFromHost()
        for _ in 0..<5 {
            vsock.send(.readWrite, connection, payload: Array(repeating: 1, count: 32 << 10))
            _ = try peer.read(64 << 10)
        }
        #expect(vsock.next(.creditUpdate)?.forwardedBytes == 160 << 10)
        vsock.send(.creditRequest, connection)
        #expect(vsock.next(.creditUpdate) != nil)
    }

    @Test func `a guest that ignores its credit loses the connection`() throws {
        let vsock = try VsockHarness()
        let (peer, connection) = try vsock.connectFromHost()
        for _ in 0..<30 { vsock.send(.readWrite, connection, payload: Array(repeating: 1, count: 32 << 10)) }
        #expect(vsock.next(.reset) != nil)
        #expect(vsock.device.metrics.creditViolations.value == 1)
        #expect(try peer.read(1) == [1])
    }

    @Test func `a guest that gives no buffers is waited for`() throws {
        let vsock = try VsockHarness(receiveBuffers: 0)
        let peer = Peer(try UnixSocket.connect(vsock.path))
        try peer.write("CONNECT 3\nabc")
        for hostPort in 0..<500 as Range<UInt32> {
            vsock.transmit(vsock.packet(1, hostPort: hostPort, guestPort: 1))
        }
        #expect(vsock.device.metrics.droppedResets.value == 500 - 64)
        vsock.addReceiveBuffers(32)
        var operations: [UInt16] = []
        for _ in 0..<10 { operations += vsock.received().map(\.header.operationNumber) }
        #expect(operations.filter { $0 == VsockOperation.reset.rawValue }.count == 64)
        #expect(operations.contains(VsockOperation.request.rawValue))
    }

    @Test func `a stream of a host program arrives whole through small and split buffers`() throws {
        let vsock = try VsockHarness(receiveBuffers: 0)
        for size in 1...20 {
            vsock.harness.drivers[0].add([.writable(20), .writable(24 + size), .writable(size * 3)])
        }
        vsock.harness.drivers[0].add([.writable(10)])
        vsock.harness.drivers[0].add([.writable(44)])
        vsock.harness.notify(0)
        let (peer, connection) = try vsock.connectFromHost()
        let data = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 / 5) }
        var written = 0
        var got: [UInt8] = []
        for _ in 0..<5000 where got.count < data.count {
            if written < data.count, let count = try? peer.write(Array(data[written...])) { written += count }
            for packet in vsock.received() {
                #expect(packet.header.lengthBytes == UInt32(packet.payload.count))
                got += packet.payload
            }
            vsock.send(.creditUpdate, connection, forwardedBytes: UInt32(got.count))
        }
        #expect(got == data)
    }

    @Test func `many connections get their turn`() throws {
        let vsock = try VsockHarness(receiveBuffers: 16)
        var peers: [(Peer, VsockHeader)] = []
        for port in 0..<20 as Range<UInt32> { peers.append(try vsock.connectFromHost(port: port)) }
        let block = Array(repeating: UInt8(1), count: 100_000)
        for (peer, _) in peers { _ = try peer.write(block) }
        var seen: Set<UInt32> = []
        for _ in 0..<40 { for packet in vsock.received() { seen.insert(packet.header.destinationPort) } }
        #expect(seen.count == 20)
    }
}
