import GuestMemory
import LinuxCalls
import Synchronization
import Testing
import VirtioDevices
import VirtioQueues
import VirtioTestSupport

/// A device that only remembers what it was told.
final class RecordingDevice: VirtioDevice {
    func settle() {}
    let queuePositions: [QueuePosition?] = []
    let ownState: [UInt64]? = []
    func restore(ownState: [UInt64]) throws(DeviceStateError) { if !ownState.isEmpty { throw .malformed } }
    func handleEvent(token: UInt32, readiness: Readiness) {}

    let loop: EventLoop
    let kind = VirtioDeviceKind.entropy
    let maximumQueueSizes: [UInt16] = [8, 16]
    let offeredFeatures: UInt64 = QueueFeatures.all | 5
    var activations: [DeviceActivation] = []
    var resets = 0
    var refusal: QueueError?
    var writes: [[UInt32]] = []

    init(_ loop: EventLoop) { self.loop = loop }

    func readConfiguration(offset: UInt32, width: UInt32) -> UInt32 {
        var answer = ConfigurationAnswer(offset: offset, width: width)
        answer.place(0x8877_6655_4433_2211, at: 4, width: 8)
        return answer.value
    }
    func writeConfiguration(offset: UInt32, width: UInt32, value: UInt32) { writes.append([offset, width, value]) }
    func activate(_ activation: DeviceActivation) throws(QueueError) {
        activations.append(activation)
        if let refusal { throw refusal }
    }
    func reset() { resets += 1 }
}

@Suite struct TransportTests {
    let device: RecordingDevice
    let harness: DeviceHarness

    init() throws {
        device = RecordingDevice(try DeviceHarness.makeLoop())
        harness = try DeviceHarness(device, memory: try GuestMemory(totalBytes: 1 << 20))
    }

    @Test func `the driver's queues and features reach the device`() throws {
        #expect(harness.start(features: 4, queueSize: 8))
        let activation = try #require(device.activations.first)
        #expect(activation.acceptedFeatures == QueueFeatures.version1 | 4)
        #expect(activation.queues.map { $0?.layout } == harness.drivers.map(\.layout))
        #expect(activation.queues.count == 2)
        #expect(device.activations.count == 1)
    }

    @Test func `a queue that was not made ready is nil`() throws {
        #expect(harness.negotiate(QueueFeatures.version1))
        let driver = MockDriver(memory: harness.memory, size: 8)
        harness.setQueue(1, driver.layout)
        harness.write(0x70, 0xf)
        let activation = try #require(device.activations.first)
        #expect(activation.queues[0]?.layout == nil)
        #expect(activation.queues[1]?.layout == driver.layout)
    }

    @Test func `a device that refuses its queues asks for a reset`() {
        device.refusal = .queueNotReady
        #expect(!harness.start())
        #expect(harness.status == 0x4f)
        #expect(harness.takeInterrupt())
        device.refusal = nil
        #expect(harness.start())
    }

    @Test func `queue registers do not change while the queue is ready or the device works`() throws {
        #expect(harness.negotiate(QueueFeatures.version1))
        let driver = MockDriver(memory: harness.memory, size: 8)
        harness.setQueue(0, driver.layout)
        harness.write(0x38, 2)
        harness.write(0x80, 0)
        harness.write(0x70, 0xf)
        harness.write(0x30, 1)
        harness.write(0x44, 1)
        #expect(harness.read(0x44) == 0)
        #expect(try #require(device.activations.first?.queues[0]).layout == driver.layout)
    }

    @Test func `a notification that comes as an exit rings the queue's doorbell`() {
        harness.write(0x50, 1)
        harness.write(0x50, 2)
        harness.write(0x50, .max)
        #expect(harness.transport.doorbells.map { $0.event.drain() } == [0, 1])
    }

    @Test func `interrupt reasons stay until they are acknowledged`() {
        harness.transport.interrupt.signalUsedBuffers()
        harness.transport.interrupt.signalConfigurationChange()
        #expect(harness.read(0x60) == 3)
        harness.write(0x64, 1)
        #expect(harness.read(0x60) == 2)
        harness.write(0x64, .max)
        #expect(harness.read(0x60) == 0)
        #expect(harness.transport.interrupt.event.drain() == 2)
    }

    @Test func `the configuration generation changes with the configuration`() {
        let before = harness.read(0xfc)
        harness.transport.interrupt.signalConfigurationChange()
        #expect(harness.read(0xfc) == before + 1)
    }

    @Test func `configuration writes reach the device in its widths, once it has a driver`() {
        harness.transport.write(offset: 0x104, width: 4, value: 1)
        #expect(device.writes.isEmpty)
        harness.write(0x70, 1)
        harness.write(0x70, 3)
        harness.transport.write(offset: 0x104, width: 1, value: 0x1ff)
        harness.transport.write(offset: 0x106, width: 2, value: 0x1_2345)
        harness.transport.write(offset: 0x108, width: 8, value: 0x2_0000_0001)
        harness.transport.write(offset: 0x108, width: 3, value: 1)
        #expect(device.writes == [[4, 1, 0xff], [6, 2, 0x2345], [8, 4, 1], [12, 4, 2]])
    }

    @Test func `it conforms`() throws {
        // This device looks into no ring, so what only a device can find is left to the real ones.
        let conformance = DeviceConformance { RecordingDevice(try DeviceHarness.makeLoop()) }
        let unknown = [
            "queue sizes: ", "queues outside memory: ", "a saved device goes on elsewhere: works with queues",
        ]
        #expect(try conformance.run().filter { words in !unknown.contains { words.hasPrefix($0) } } == [])
    }

    @Test func `processors that write nonsense at the same time do no harm`() throws {
        let loop = try EventLoop()
        try startThread { loop.run() }
        defer { loop.stop() }
        let memory = try GuestMemory(totalBytes: 1 << 20)
        let transport = try VirtioMMIOTransport(device: EntropyDevice(loop: loop), memory: memory)
        final class Shared: Sendable {
            let running = Atomic<UInt32>(4)
        }
        let shared = Shared()
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        for thread in 0..<4 as Range<UInt64> {
            try startThread {
                var generator = SeededGenerator(seed: seed &+ thread)
                for _ in 0..<5000 {
                    let word = generator.next()
                    let offset = word >> 8 & 0xfc
                    if word & 1 == 0 {
                        _ = transport.read(offset: offset, width: 4)
                    } else {
                        // Mostly the small values that lead somewhere.
                        transport.write(offset: offset, width: 4, value: word >> 16 & (word & 2 == 0 ? 0xf : .max))
                    }
                }
                shared.running.subtract(1, ordering: .releasing)
                wakeWaiters(shared.running, count: 1)
            }
        }
        while true {
            let left = shared.running.load(ordering: .acquiring)
            if left == 0 { break }
            waitOnAddress(shared.running, while: left)
        }
        transport.write(offset: 0x70, width: 4, value: 0)
        #expect(transport.read(offset: 0x70, width: 4) == 0)
    }
}
