import LinuxCalls
import Testing
import VirtioQueues
import VirtioTestSupport

@testable import VirtioDevices

/// Connections around a transport reset: none is made before the driver has dealt with it.
struct VsockResetTests {
    private func restored(features: UInt64 = .max, eventBuffers: Int = 8) throws -> VsockHarness {
        let vsock = try VsockHarness(features: features)
        for _ in 0..<eventBuffers { vsock.harness.drivers[2].add([.writable(4)]) }
        vsock.device.announceTransportReset()
        return vsock
    }

    /// What the driver does with an event: it gives the buffer back and says so, if it was asked to.
    private func handleEvent(_ vsock: VsockHarness) {
        let driver = vsock.harness.drivers[2]
        #expect(driver.takeUsed()?.writtenBytes == 4)
        driver.add([.writable(4)])
        vsock.harness.notify(2)
    }

    @Test(arguments: [UInt64.max, QueueFeatures.version1])
    func `a host program's connection waits until the driver has given the event's buffer back`(features: UInt64) throws
    {
        let vsock = try restored(features: features)
        let peer = Peer(try UnixSocket.connect(vsock.path))
        try peer.write("CONNECT 5\n")
        #expect(vsock.received().isEmpty)
        // A notification without a buffer is of something earlier.
        vsock.harness.notify(2)
        #expect(vsock.received().isEmpty)
        if features & QueueFeatures.eventIndex != 0 { #expect(vsock.harness.drivers[2].availableEvent == 8) }
        handleEvent(vsock)
        let request = try #require(vsock.next(.request))
        #expect(request.destinationPort == 5)
        vsock.send(.response, request)
        #expect(try peer.read(64) == Array("OK \(request.sourcePort)\n".utf8))
        // Once is enough.
        handleEventBufferOnly(vsock)
        let (_, second) = try vsock.connectFromHost(port: 6)
        #expect(second.destinationPort == 6)
    }

    private func handleEventBufferOnly(_ vsock: VsockHarness) {
        vsock.harness.drivers[2].add([.writable(4)])
        vsock.harness.notify(2)
    }

    @Test func `what the guest sends waits too`() throws {
        let vsock = try restored()
        let listener = try UnixSocket.listen("\(vsock.path)_80")
        defer { try? removeFile("\(vsock.path)_80") }
        vsock.transmit(vsock.packet(1, hostPort: 80, guestPort: 700))
        #expect(vsock.received().isEmpty)
        #expect(try UnixSocket.accept(listener.number) == nil)
        handleEvent(vsock)
        #expect(vsock.next(.response)?.destinationPort == 700)
    }

    @Test func `a driver that was short of event buffers hears of the reset when it has one, and is waited for`() throws
    {
        let vsock = try restored(eventBuffers: 0)
        let peer = Peer(try UnixSocket.connect(vsock.path))
        try peer.write("CONNECT 5\n")
        #expect(vsock.received().isEmpty)
        handleEventBufferOnly(vsock)
        #expect(vsock.received().isEmpty)
        handleEvent(vsock)
        #expect(vsock.next(.request)?.destinationPort == 5)
    }

    @Test func `a driver that never gives a buffer back is waited for so long and no longer`() throws {
        let vsock = try restored()
        vsock.device.resetWait?.ticksLeft = 2
        let peer = Peer(try UnixSocket.connect(vsock.path))
        try peer.write("CONNECT 5\n")
        #expect(vsock.received().isEmpty)
        #expect(vsock.next(.request)?.destinationPort == 5)
        #expect(vsock.device.metrics.timeouts.value == 1)
    }

    @Test func `a driver without an event queue is not waited for, nor is one that has reset the device`() throws {
        let vsock = try restored()
        vsock.harness.write(0x70, 0)
        #expect(vsock.device.resetWait == nil)
        let twin = try VsockHarness()
        twin.device.service?.eventQueue = nil
        twin.device.announceTransportReset()
        #expect(try twin.connectFromHost(port: 9).1.destinationPort == 9)
    }

    /// A guest that was saved while it sent goes on sending after its restore: its packets are no part of a new connection,
    /// and the resets that they are answered with do not end one.
    @Test func `ports that were used before a snapshot are not used after it`() throws {
        let saved = try VsockHarness()
        let (_, old) = try saved.connectFromHost(port: 5)
        let own = try #require(saved.device.ownState)
        let vsock = try VsockHarness()
        try vsock.device.restore(ownState: own)
        let (_, new) = try vsock.connectFromHost(port: 5)
        #expect(new.sourcePort != old.sourcePort)
        vsock.send(.readWrite, old)
        #expect(vsock.next(.reset)?.sourcePort == old.sourcePort)
    }

    @Test(arguments: [[], [1 << 30], [0xffff_fffe]] as [[UInt64]])
    func `the ports of a snapshot are taken over`(own: [UInt64]) throws {
        let device = try VsockHarness().device
        try device.restore(ownState: own)
        #expect(device.ownState == [own.first ?? 1 << 30])
    }

    @Test(arguments: [[1 << 30, 0], [0], [1 << 30 - 1], [0xffff_ffff], [1 << 32], [.max]] as [[UInt64]])
    func `ports that are none are refused`(own: [UInt64]) throws {
        let device = try VsockHarness().device
        #expect(throws: DeviceStateError.malformed) { try device.restore(ownState: own) }
    }
}
