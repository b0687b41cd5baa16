import GuestMemory
import LinuxCalls
import Testing
import VirtioQueues
import VirtioTestSupport

@testable import VirtioDevices

@Suite struct VsockHostilityTests {
    @Test func `it conforms`() throws {
        var number = 0
        let conformance = DeviceConformance {
            number += 1
            return try VsockDevice(
                guestCID: 3,
                backend: try VsockBackend(
                    path: "/tmp/vsock-conformance",
                    listening: try UnixSocket.listen("/tmp/vsock-conformance-\(getProcessNumber())-\(number)")),
                loop: try DeviceHarness.makeLoop())
        }
        #expect(try conformance.run() == [])
        for index in 0...number { try removeFile("/tmp/vsock-conformance-\(getProcessNumber())-\(index)") }
    }

    @Test func `packets for unknown connections are answered by resets, resets are not`() throws {
        let vsock = try VsockHarness()
        for operation in 2...7 as ClosedRange<UInt16> {
            vsock.transmit(vsock.packet(operation, hostPort: 8, guestPort: 9))
            let answers = vsock.received()
            #expect(answers.map(\.header.operationNumber) == (operation == 3 ? [] : [3]))
        }
    }

    @Test func `packets of wrong contexts, types, operations and lengths are counted and contained`() throws {
        let vsock = try VsockHarness()
        let (peer, connection) = try vsock.connectFromHost()
        let ports = (connection.sourcePort, connection.destinationPort)
        vsock.transmit(vsock.packet(5, hostPort: ports.0, guestPort: ports.1) { $0.sourceCID = 99 })
        #expect(vsock.received().isEmpty)
        vsock.transmit(vsock.packet(5, hostPort: ports.0, guestPort: ports.1) { $0.destinationCID = 1 << 40 })
        #expect(vsock.next(.reset)?.sourceCID == 1 << 40)
        #expect(vsock.device.metrics.wrongContexts.value == 2)
        vsock.transmit(vsock.packet(5, hostPort: ports.0, guestPort: ports.1) { $0.type = 2 })
        #expect(vsock.next(.reset)?.type == 2)
        for operation in [0, 8, .max] as [UInt16] {
            vsock.transmit(vsock.packet(operation, hostPort: ports.0, guestPort: ports.1))
            #expect(vsock.next(.reset) != nil)
        }
        vsock.transmit([1, 2, 3])
        vsock.transmit(vsock.packet(5, hostPort: ports.0, guestPort: ports.1) { $0.lengthBytes = .max })
        #expect(vsock.next(.reset) != nil)
        #expect(vsock.device.metrics.malformedPackets.value == 6)
        #expect(try peer.read(1) == [])
        #expect(vsock.device.connections.count == 0)
    }

    @Test func `a request for a connection that exists, and a response to none, end in a reset`() throws {
        let vsock = try VsockHarness()
        let (peer, connection) = try vsock.connectFromHost()
        vsock.send(.response, connection)
        #expect(vsock.next(.reset) != nil)
        #expect(try peer.read(1) == [])
        let (other, second) = try vsock.connectFromGuest(hostPort: 4)
        vsock.send(.request, second)
        #expect(vsock.next(.reset) != nil)
        #expect(try other.read(1) == [])
    }

    @Test func `a guest that lies about what it forwarded gets no endless credit`() {
        var credit = VsockCredit(bufferBytes: 100)
        credit.learn(bufferBytes: 10, forwardedBytes: 500)
        #expect(credit.sendableBytes == 10)
        credit.send(10)
        credit.learn(bufferBytes: 10, forwardedBytes: 11)
        #expect(credit.sendableBytes == 0)
        credit.learn(bufferBytes: 10, forwardedBytes: 4)
        credit.learn(bufferBytes: 10, forwardedBytes: 3)
        #expect(credit.sendableBytes == 4)
        credit.learn(bufferBytes: 1, forwardedBytes: 4)
        #expect(credit.sendableBytes == 0)
    }

    @Test func `credit survives the wrap of its counters`() {
        var credit = VsockCredit(bufferBytes: 1 << 31)
        credit.learn(bufferBytes: 1 << 31, forwardedBytes: 0)
        for step in 1...5 as ClosedRange<UInt32> {
            #expect(credit.sendableBytes == 1 << 31)
            credit.send(1 << 31)
            #expect(credit.sendableBytes == 0)
            credit.learn(bufferBytes: 1 << 31, forwardedBytes: step &* (1 << 31))
            let isTaken = credit.receive(1 << 31)
            let isMoreTaken = credit.receive(1)
            #expect(isTaken && !isMoreTaken)
            credit.forward(1 << 31)
        }
    }

    @Test func `random packets and endings leave no connection behind`() throws {
        for seed in 1...20 as ClosedRange<UInt64> {
            var random = SeededGenerator(seed: seed)
            let vsock = try VsockHarness()
            var peers: [Peer] = []
            let listener = try UnixSocket.listen("\(vsock.path)_1")
            defer { try? removeFile("\(vsock.path)_1") }
            for _ in 0..<300 {
                switch random.next() % 8 {
                case 0:
                    let peer = Peer(try UnixSocket.connect(vsock.path))
                    try peer.write("CONNECT \(random.next() % 3)\n")
                    peers.append(peer)
                case 1:
                    if let accepted = try UnixSocket.accept(listener.number) { peers.append(Peer(accepted)) }
                case 2:
                    if let peer = peers.randomElement(using: &random) { _ = try? peer.write([1, 2, 3]) }
                case 3:
                    if !peers.isEmpty { peers.remove(at: Int(random.next() % UInt64(peers.count))).close() }
                default:
                    let hostPort = random.next() % 2 == 0 ? 1 : 1 << 30 + UInt32(random.next() % 20)
                    vsock.transmit(
                        vsock.packet(
                            UInt16(random.next() % 9), hostPort: hostPort, guestPort: UInt32(random.next() % 3),
                            payload: Array(repeating: 1, count: Int(random.next() % 100)),
                            flags: UInt32(random.next() % 4), bufferBytes: UInt32(random.next() % 4096),
                            forwardedBytes: UInt32(random.next() % 64)))
                }
                _ = vsock.received()
            }
            #expect(vsock.harness.status == 0xf, "seed \(seed)")
            vsock.harness.write(0x70, 0)
            #expect(vsock.device.connections.count == 0, "seed \(seed)")
            #expect(vsock.device.timedCount == 0, "seed \(seed)")
        }
    }
}
