import CLinux
import GuestMemory
import LinuxCalls
import Testing
import VirtioQueues
import VirtioTestSupport

@testable import VirtioDevices

@Suite struct BalloonTests {
    let device: BalloonDevice
    let harness: DeviceHarness
    let memory: GuestMemory

    init() throws {
        memory = try GuestMemory(totalBytes: 16 << 20)
        device = try BalloonDevice(
            targetMebibytes: 4, isDeflatingOnOutOfMemory: true, statisticsIntervalSeconds: 1,
            isReportingFreePages: true, loop: try DeviceHarness.makeLoop())
        harness = try DeviceHarness(device, memory: memory)
        #expect(harness.start())
    }

    /// Host memory behind the guest's, by the blocks of its file.
    private func hostBytes() throws -> UInt64 {
        var record = InlineArray<32, UInt64>(repeating: 0)
        var span = record.mutableSpan
        let result = unsafe span.withUnsafeMutableBytes { bytes in
            linux_system_call(
                Int(__NR_fstat), Int(memory.fileNumber), Int(bitPattern: bytes.baseAddress), 0, 0, 0, 0)
        }
        try #require(result == 0)
        // st_blocks of x86-64.
        return record[8] * 512
    }

    private func touch(_ start: UInt64, _ bytes: UInt64) throws {
        for address in stride(from: start, to: start + bytes, by: 4096) {
            try memory.store(UInt64(address + 1), at: GuestAddress(address))
        }
    }

    private func list(_ pages: some Sequence<UInt32>) -> [UInt8] {
        pages.flatMap { page in (0..<4).map { UInt8(truncatingIfNeeded: page >> (8 * $0)) } }
    }

    @Test func `it conforms`() throws {
        let conformance = DeviceConformance {
            try BalloonDevice(
                targetMebibytes: 1, isDeflatingOnOutOfMemory: true, statisticsIntervalSeconds: 3,
                isReportingFreePages: true, loop: try DeviceHarness.makeLoop())
        }
        #expect(try conformance.run() == [])
    }

    @Test func `pages put into the balloon are the host's again`() throws {
        // The last quarter of memory holds the reports' driver; its beginning is not used here.
        try touch(14 << 20, 1 << 20)
        let before = try hostBytes()
        let first = UInt32((14 << 20) / 4096)
        harness.drivers[0].add([.readable(list(first..<first + 128))])
        harness.drivers[0].add([.readable(list((first + 128..<first + 256).reversed()))])
        harness.notify(0)
        #expect(harness.drivers[0].takeUsed() != nil)
        #expect(try before - hostBytes() >= 1 << 20 - 64 << 10)
        #expect(device.metrics.releasedBytes.value == 1 << 20)
        #expect(try memory.load(UInt64.self, at: GuestAddress(14 << 20)) == 0)
        harness.drivers[1].add([.readable(list(first..<first + 2))])
        harness.notify(1)
        #expect(harness.drivers[1].takeUsed() != nil)
        #expect(device.metrics.deflatedPages.value == 2)
        try touch(14 << 20, 8192)
    }

    @Test func `reported free pages are the host's again, and only whole ones`() throws {
        try touch(14 << 20, 1 << 20)
        let before = try hostBytes()
        harness.drivers[3].add([
            .raw(address: 14 << 20, lengthBytes: 512 << 10, isDeviceWritable: true),
            .raw(address: (14 << 20) + (512 << 10) + 100, lengthBytes: 8192, isDeviceWritable: true),
        ])
        harness.notify(3)
        #expect(harness.drivers[3].takeUsed() != nil)
        #expect(try before - hostBytes() >= 512 << 10)
        #expect(device.metrics.reportedBytes.value == (512 << 10) + 4096)
        #expect(try memory.load(UInt64.self, at: GuestAddress((14 << 20) + (512 << 10))) != 0)
    }

    @Test func `nothing outside memory is ever given back`() throws {
        let last = UInt32((16 << 20) / 4096)
        harness.drivers[0].add([.readable(list([last - 1, last, last + 1, .max, .max - 1, 0x000d_0000]))])
        harness.drivers[0].add([.readable([1, 2, 3])])
        harness.drivers[0].add([.readable([])])
        harness.notify(0)
        #expect(device.metrics.releasedBytes.value == 4096)
        #expect(device.metrics.invalidPages.value == 6)
        harness.drivers[3].add([
            .raw(address: 15 << 20, lengthBytes: 1 << 30, isDeviceWritable: true),
            .raw(address: .max - 4095, lengthBytes: 4096, isDeviceWritable: true),
        ])
        harness.notify(3)
        #expect(device.metrics.reportedBytes.value == 0)
        #expect(harness.status == 0xf)
    }

    @Test func `the guest follows a new target and says what it holds`() {
        #expect(device.readConfiguration(offset: 0, width: 4) == 1024)
        _ = harness.takeInterrupt()
        device.setTarget(mebibytes: 8)
        #expect(harness.read(0x60) & 2 != 0)
        #expect(harness.takeInterrupt())
        #expect(device.readConfiguration(offset: 0, width: 4) == 2048)
        harness.transport.write(offset: 0x104, width: 4, value: 77)
        #expect(device.actual == 77)
        harness.transport.write(offset: 0x100, width: 4, value: 5)
        #expect(device.target == 2048)
        device.setTarget(mebibytes: .max)
        #expect(device.target == .max)
    }

    @Test func `statistics are kept, and asked for again when their time has come`() throws {
        var bytes: [UInt8] = []
        for tag in 0...17 as ClosedRange<UInt16> {
            bytes += [UInt8(tag), 0] + (0..<8).map { $0 == 0 ? UInt8(tag) * 2 : 0 }
        }
        harness.drivers[2].wishInterrupt()
        harness.drivers[2].add([.readable(bytes + [1, 2, 3])])
        harness.notify(2)
        #expect(harness.drivers[2].takeUsed() == nil)
        for tag in BalloonStatistics.Tag.allCases { #expect(device.statistics?[tag] == UInt64(tag.rawValue) * 2) }
        #expect(harness.awaitUsed(2) != nil)
        harness.drivers[2].add([.readable([4, 0, 9, 0, 0, 0, 0, 0, 0, 0])])
        harness.notify(2)
        #expect(device.statistics?[.freeMemory] == 9)
        #expect(device.statistics?[.swapIn] == nil)
        // A second buffer while one is kept: the older is given back.
        harness.drivers[2].add([.readable([])])
        harness.notify(2)
        #expect(harness.drivers[2].takeUsed() != nil)
    }

    @Test func `without statistics the reports come in the third queue`() throws {
        #expect(harness.start(features: ~BalloonDevice.Feature.statistics))
        harness.drivers[2].add([.raw(address: 15 << 20, lengthBytes: 4096, isDeviceWritable: true)])
        harness.notify(2)
        #expect(harness.drivers[2].takeUsed() != nil)
        #expect(device.metrics.reportedBytes.value == 4096)
    }

    @Test func `pages next to each other make one run, whichever way they come`() {
        var run = PageRun()
        for page in [5, 6, 4, 3, 7] as [UInt64] {
            let isTaken = run.extend(page)
            #expect(isTaken)
        }
        #expect(run == PageRun(firstPage: 3, count: 5))
        let isTaken = run.extend(9)
        #expect(!isTaken)
    }

    @Test func `random lists and reports are contained`() throws {
        var random = SeededGenerator(seed: 3)
        for _ in 0..<500 {
            let queue = [0, 1, 2, 3][Int(random.next() % 4)]
            let bytes = (0..<Int(random.next() % 60)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            if queue == 3 {
                harness.drivers[3].add([
                    .raw(
                        address: random.next() >> (random.next() % 64), lengthBytes: UInt32(random.next() >> 34),
                        isDeviceWritable: random.next() % 2 == 0)
                ])
            } else {
                harness.drivers[queue].add([.readable(bytes.map { $0 & (random.next() % 3 == 0 ? 0xff : 0) })])
            }
            harness.notify(queue)
            if harness.status != 0xf || random.next() % 20 == 0 { #expect(harness.start()) }
            for driver in harness.drivers { while driver.takeUsed() != nil {} }
        }
    }
}
