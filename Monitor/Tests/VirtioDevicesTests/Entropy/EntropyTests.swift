import GuestMemory
import Testing
import VirtioDevices
import VirtioQueues
import VirtioTestSupport

@Suite struct EntropyTests {
    let device: EntropyDevice
    let harness: DeviceHarness

    init() throws {
        device = EntropyDevice(loop: try DeviceHarness.makeLoop())
        harness = try DeviceHarness(device, memory: try GuestMemory(totalBytes: 1 << 20))
    }

    @Test func `it conforms`() throws {
        #expect(try DeviceConformance { EntropyDevice(loop: try DeviceHarness.makeLoop()) }.run() == [])
    }

    @Test(arguments: [0, .max] as [UInt64]) func `buffers are filled with random bytes`(features: UInt64) throws {
        #expect(harness.start(features: features))
        let first = harness.drivers[0].add([.writable(32), .writable(96)])
        let second = harness.drivers[0].add([.writable(128)], indirect: features != 0)
        harness.notify()
        let one = try #require(harness.drivers[0].takeUsedWithContents())
        let other = try #require(harness.drivers[0].takeUsedWithContents())
        #expect([one.used.head, other.used.head] == [first, second])
        #expect(one.used.writtenBytes == 128)
        #expect(one.contents != other.contents)
        // 128 random bytes hold more than 32 different values but for a chance of one in 2^100.
        #expect(Set(one.contents).count > 32)
        #expect(harness.takeInterrupt())
        #expect(device.metrics.bytes.value == 256)
    }

    @Test func `a request for very much is answered with less`() throws {
        #expect(harness.start(features: 0))
        harness.drivers[0].add([.writable(100 << 10)])
        harness.notify()
        #expect(harness.drivers[0].takeUsed()?.writtenBytes == 64 << 10)
    }

    @Test func `an empty buffer is given back`() {
        #expect(harness.start(features: 0))
        harness.drivers[0].add([.raw(address: 0, lengthBytes: 0, isDeviceWritable: true)])
        harness.notify()
        #expect(harness.drivers[0].takeUsed()?.writtenBytes == 0)
    }

    @Test func `more requests than one turn serves are all served`() {
        #expect(harness.start(features: 0, queueSize: 64))
        for _ in 0..<64 { harness.drivers[0].add([.writable(8)]) }
        harness.notify()
        for _ in 0..<64 { #expect(harness.drivers[0].takeUsed()?.writtenBytes == 8) }
    }

    @Test func `a readable buffer stops the device until a reset`() {
        #expect(harness.start(features: 0))
        harness.drivers[0].add([.readable([1])])
        harness.notify()
        #expect(harness.status == 0x4f)
        #expect(harness.read(0x60) & 2 != 0)
        #expect(device.metrics.queueFaults.value == 1)
        #expect(harness.start(features: 0))
        harness.drivers[0].add([.writable(8)])
        harness.notify()
        #expect(harness.drivers[0].takeUsed()?.writtenBytes == 8)
    }
}
