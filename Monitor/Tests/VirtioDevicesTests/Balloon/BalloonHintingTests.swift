import GuestMemory
import Testing
import VirtioTestSupport

@testable import VirtioDevices

@Suite struct BalloonHintingTests {
    let device: BalloonDevice
    let harness: DeviceHarness
    let memory: GuestMemory

    init() throws {
        memory = try GuestMemory(totalBytes: 16 << 20)
        device = try BalloonDevice(
            targetMebibytes: 0, isDeflatingOnOutOfMemory: true, isHintingFreePages: true, isReportingFreePages: true,
            loop: try DeviceHarness.makeLoop())
        harness = try DeviceHarness(device, memory: memory)
        #expect(harness.start())
    }

    private func say(_ command: UInt32) {
        harness.drivers[2].add([.readable((0..<4).map { UInt8(truncatingIfNeeded: command >> (8 * $0)) })])
        harness.notify(2)
        #expect(harness.drivers[2].takeUsed() != nil)
    }

    /// Whether the page was given back: it is zeros then.
    private func hint(_ address: UInt64) throws -> Bool {
        try memory.store(UInt64(7), at: GuestAddress(address))
        harness.drivers[2].add([.raw(address: address, lengthBytes: 4096, isDeviceWritable: true)])
        harness.notify(2)
        #expect(harness.drivers[2].takeUsed() != nil)
        return try memory.load(UInt64.self, at: GuestAddress(address)) == 0
    }

    private var command: UInt32 { device.readConfiguration(offset: 8, width: 4) }

    @Test func `it conforms`() throws {
        let conformance = DeviceConformance {
            try BalloonDevice(
                targetMebibytes: 1, isDeflatingOnOutOfMemory: true, statisticsIntervalSeconds: 3,
                isHintingFreePages: true, isReportingFreePages: true, loop: try DeviceHarness.makeLoop())
        }
        #expect(try conformance.run() == [])
    }

    @Test func `only hints of the run that was asked for are taken`() throws {
        #expect(command == 0)
        #expect(try !hint(14 << 20))
        _ = harness.takeInterrupt()
        #expect(device.startHinting(acknowledging: true))
        #expect(command == 2)
        #expect(harness.read(0x60) & 2 != 0)
        // Not before the guest has said that it has begun, nor for another run.
        #expect(try !hint(14 << 20))
        say(77)
        #expect(try !hint(14 << 20))
        say(2)
        #expect(try hint(14 << 20))
        #expect(try hint(15 << 20))
        #expect(device.metrics.releasedBytes.value == 8192)
        #expect(device.metrics.hintedRanges.value == 2)
        #expect(device.metrics.hintedBytes.value == 8192)
        say(0)
        #expect(command == 1)
        #expect(device.hintCommands == (1, 0))
        #expect(try !hint(14 << 20))
        #expect(device.startHinting(acknowledging: false))
        #expect(command == 3)
        say(3)
        #expect(try hint(14 << 20))
        say(0)
        // The guest keeps its pages apart until it is told.
        #expect(command == 3)
        #expect(try !hint(14 << 20))
        #expect(device.stopHinting())
        #expect(command == 1)
    }

    @Test func `hints outside memory, and commands that are none, change nothing`() throws {
        #expect(device.startHinting(acknowledging: true))
        say(2)
        for address in [16 << 20, (16 << 20) - 2048, .max - 4095] as [UInt64] {
            harness.drivers[2].add([.raw(address: address, lengthBytes: 4096, isDeviceWritable: true)])
            harness.drivers[2].add([.raw(address: address | 2046, lengthBytes: 4, isDeviceWritable: false)])
        }
        harness.drivers[2].add([.readable([3, 0, 0])])
        harness.notify(2)
        #expect(device.metrics.releasedBytes.value == 0)
        #expect(device.metrics.invalidPages.value == 7)
        #expect(harness.status == 0xf)
    }

    @Test func `a guest whose driver does not hint is not asked`() throws {
        #expect(harness.start(features: ~BalloonDevice.Feature.hinting))
        #expect(!device.startHinting(acknowledging: true))
        #expect(!device.stopHinting())
        // The reports come in the queue that hints would have had.
        harness.drivers[2].add([.raw(address: 15 << 20, lengthBytes: 4096, isDeviceWritable: true)])
        harness.notify(2)
        #expect(device.metrics.reportedBytes.value == 4096)
    }

    @Test func `a restored guest is told what it was told`() throws {
        #expect(device.startHinting(acknowledging: true))
        #expect(device.ownState == [0, 0, 2])
        try device.restore(ownState: [0, 0, 9])
        #expect(command == 9)
        #expect(device.startHinting(acknowledging: true))
        #expect(command == 10)
        #expect(throws: DeviceStateError.malformed) { try device.restore(ownState: [0, 0]) }
        #expect(throws: DeviceStateError.malformed) { try device.restore(ownState: [0, 0, .max]) }
    }
}
