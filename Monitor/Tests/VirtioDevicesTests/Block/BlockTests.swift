import GuestMemory
import LinuxCalls
import Testing
import VirtioDevices
import VirtioQueues
import VirtioTestSupport

let engines: [BlockEngine] = [.automatic, .synchronous, .asynchronous]

@Suite struct BlockTests {
    @Test(arguments: engines) func `it conforms`(engine: BlockEngine) throws {
        let conformance = DeviceConformance {
            let disk = try ScratchDisk(lengthBytes: 1 << 16)
            return BlockDevice(
                try BlockBackend(try disk.open(), isReadOnly: false), serial: "", engine: engine,
                loop: try DeviceHarness.makeLoop())
        }
        #expect(try conformance.run() == [])
    }

    @Test(arguments: engines) func `what is written is in the file and is read again`(engine: BlockEngine) throws {
        let block = try BlockHarness(engine: engine)
        let data = (0..<2048).map { UInt8(truncatingIfNeeded: $0 * 7) }
        let write = try #require(
            block.request(1, sector: 5, writing: [.readable(Array(data[..<512])), .readable(Array(data[512...]))]))
        #expect(write.status == 0)
        #expect(write.writtenBytes == 1)
        #expect(try block.disk.bytes(at: 5 * 512, count: 2048) == data)
        let read = try #require(block.request(0, sector: 5, reading: [512, 1000, 536]))
        #expect(read.status == 0)
        #expect(read.data == data)
        #expect(read.writtenBytes == 2049)
        #expect(block.device.metrics.readBytes.value == 2048)
        #expect(block.device.metrics.writtenBytes.value == 2048)
        #expect(block.harness.takeInterrupt())
    }

    @Test(arguments: engines) func `header and status may lie in any pieces`(engine: BlockEngine) throws {
        let block = try BlockHarness(engine: engine)
        try block.disk.write([UInt8](repeating: 9, count: 512), at: 0)
        let header = BlockHarness.header(0, sector: 0)
        block.driver.add(
            header.map { .readable([$0]) } + [
                .raw(address: 0, lengthBytes: 0, isDeviceWritable: false), .writable(500), .writable(13),
                .raw(address: 0, lengthBytes: 0, isDeviceWritable: true),
            ], indirect: true)
        block.harness.notify()
        let answer = try #require(block.harness.awaitUsed())
        #expect(answer.contents == [UInt8](repeating: 9, count: 512) + [0])
    }

    @Test(arguments: engines) func `sectors beyond the end are refused and nothing is touched`(
        engine: BlockEngine
    ) throws {
        let block = try BlockHarness(engine: engine)
        let sector = [UInt8](repeating: 1, count: 512)
        let end = BlockHarness.sectors
        for first in [end, end + 1, .max, .max - 1, 1 << 55, 1 << 54] {
            let range = BlockHarness.range(sector: first, count: 1)
            #expect(block.request(1, sector: first, writing: [.readable(sector)])?.status == 1)
            #expect(block.request(0, sector: first, reading: [512])?.status == 1)
            #expect(block.request(13, sector: 0, writing: [.readable(range)])?.status == 1)
        }
        #expect(block.request(1, sector: end - 1, writing: [.readable(sector + sector)])?.status == 1)
        #expect(block.request(1, sector: end - 1, writing: [.readable(sector)])?.status == 0)
        #expect(try block.disk.bytes(at: 0, count: 1 << 20).count == Int(end) * 512)
        #expect(block.device.metrics.badRequests.value == 19)
    }

    @Test(arguments: engines) func `a broken length is refused`(engine: BlockEngine) throws {
        let block = try BlockHarness(engine: engine)
        #expect(block.request(0, sector: 0, reading: [511])?.status == 1)
        #expect(block.request(1, sector: 0, writing: [.readable([1])])?.status == 1)
        #expect(block.request(0, sector: 0)?.status == 0)
    }

    @Test(arguments: engines) func `a chain without header or without room for a status comes back`(
        engine: BlockEngine
    ) throws {
        let block = try BlockHarness(engine: engine)
        block.driver.add([.readable([1, 2, 3]), .writable(1)])
        block.harness.notify()
        #expect(try #require(block.harness.awaitUsed()).contents == [1])
        block.driver.add([.readable(BlockHarness.header(0, sector: 0))])
        block.driver.add([.raw(address: 0, lengthBytes: 0, isDeviceWritable: true)])
        block.harness.notify()
        #expect(try #require(block.harness.awaitUsed()).used.writtenBytes == 0)
        #expect(try #require(block.harness.awaitUsed()).used.writtenBytes == 0)
        #expect(block.harness.status == 0xf)
    }

    @Test func `a read-only disk refuses all that changes it`() throws {
        let block = try BlockHarness(engine: .synchronous, isReadOnly: true)
        #expect(block.device.offeredFeatures & 1 << 5 != 0)
        #expect(block.device.offeredFeatures & (1 << 9 | 1 << 13 | 1 << 14) == 0)
        #expect(block.request(1, sector: 0, writing: [.readable([UInt8](repeating: 1, count: 512))])?.status == 1)
        let range = BlockHarness.range(sector: 0, count: 1)
        #expect(block.request(11, sector: 0, writing: [.readable(range)])?.status == 2)
        #expect(block.request(13, sector: 0, writing: [.readable(range)])?.status == 2)
        #expect(block.request(4, sector: 0)?.status == 0)
        #expect(block.request(0, sector: 0, reading: [512])?.data == [UInt8](repeating: 0, count: 512))
    }

    @Test(arguments: engines) func `the serial number is padded with zeroes`(engine: BlockEngine) throws {
        let block = try BlockHarness(engine: engine)
        let answer = try #require(block.request(8, sector: 0, reading: [20]))
        #expect(answer.data == Array("serial-of-the-disk".utf8) + [0, 0])
        #expect(answer.writtenBytes == 21)
        #expect(block.request(8, sector: 0, reading: [19])?.status == 1)
    }

    @Test(arguments: engines) func `flush succeeds and an unknown request is unsupported`(engine: BlockEngine) throws {
        let block = try BlockHarness(engine: engine)
        #expect(block.request(4, sector: .max)?.status == 0)
        #expect(block.device.metrics.flushes.value == 1)
        #expect(block.request(99, sector: 0, reading: [7])?.status == 2)
        #expect(block.request(.max, sector: 0)?.status == 2)
    }

    @Test(arguments: engines) func `a reset while requests are at work waits for them`(engine: BlockEngine) throws {
        let block = try BlockHarness(engine: engine)
        for _ in 0..<20 {
            for sector in 0..<60 as Range<UInt64> {
                block.driver.add([.readable(BlockHarness.header(0, sector: sector)), .writable(512), .writable(1)])
            }
            block.harness.notify()
            block.harness.write(0x70, 0)
            #expect(block.harness.start())
        }
        #expect(block.request(0, sector: 0, reading: [512])?.status == 0)
    }

    @Test func `the configuration space tells the capacity in sectors`() throws {
        let block = try BlockHarness(engine: .synchronous)
        #expect(block.harness.transport.read(offset: 0x100, width: 8) == BlockHarness.sectors)
        #expect(block.harness.transport.read(offset: 0x10c, width: 4) == 126)
        #expect(block.harness.transport.read(offset: 0x114, width: 4) == 512)
    }
}
