import GuestMemory
import LinuxCalls
import Testing
import VirtioDevices
import VirtioQueues
import VirtioTestSupport

/// What lies between the device and the host's file: ranges, short files, errors, durability.
@Suite struct BlockHostTests {
    @Test(arguments: engines) func `discarded and zeroed ranges read as zero`(engine: BlockEngine) throws {
        let block = try BlockHarness(engine: engine)
        let ones = [UInt8](repeating: 1, count: 64 << 10)
        for (operation, flags) in [(11, 0), (13, 0), (13, 1)] as [(UInt32, UInt32)] {
            try block.disk.write(ones, at: 0)
            let range = BlockHarness.range(sector: 8, count: 16, flags: flags)
            #expect(block.request(operation, sector: 0, writing: [.readable(range)])?.status == 0)
            let bytes = try block.disk.bytes(at: 0, count: 64 << 10)
            #expect(bytes[4096..<12288].allSatisfy { $0 == 0 })
            #expect(bytes[..<4096].allSatisfy { $0 == 1 } && bytes[12288...].allSatisfy { $0 == 1 })
        }
        #expect(block.device.metrics.rangeChanges.value == 3)
    }

    @Test func `ranges that are too long, too many, or oddly flagged are refused`() throws {
        let block = try BlockHarness(engine: .synchronous)
        func status(_ operation: UInt32, _ bytes: [UInt8]) -> UInt8? {
            block.request(operation, sector: 0, writing: [.readable(bytes)])?.status
        }
        #expect(status(11, BlockHarness.range(sector: 0, count: 1, flags: 1)) == 2)
        #expect(status(13, BlockHarness.range(sector: 0, count: 1, flags: 2)) == 2)
        #expect(status(13, BlockHarness.range(sector: 0, count: .max)) == 1)
        #expect(status(13, BlockHarness.range(sector: 0, count: 0)) == 0)
        #expect(status(11, [1, 2, 3]) == 1)
        let two = BlockHarness.range(sector: 0, count: 1) + BlockHarness.range(sector: 2, count: 1)
        #expect(status(11, two) == 1)
    }

    @Test(arguments: engines) func `a file that has become shorter gives errors, not old bytes`(
        engine: BlockEngine
    ) throws {
        let block = try BlockHarness(engine: engine)
        try block.disk.truncate(toBytes: 10 * 512)
        #expect(block.request(0, sector: 9, reading: [512])?.status == 0)
        #expect(block.request(0, sector: 9, reading: [512, 512])?.status == 1)
        #expect(block.request(0, sector: 50, reading: [512])?.status == 1)
        #expect(block.device.metrics.hostErrors.value == 2)
        #expect(block.request(1, sector: 50, writing: [.readable([UInt8](repeating: 1, count: 512))])?.status == 0)
    }

    @Test(arguments: engines) func `errors of the host are errors of the request`(engine: BlockEngine) throws {
        // A file opened for reading alone refuses writes, as a failing disk would.
        let path = "/tmp/swiftlet-block-test-\(UInt64.random(in: 0 ... .max))"
        let file = try open(path, [.create, .readWrite])
        defer { try? removeFile(path) }
        try changeLength(file.number, lengthBytes: BlockHarness.sectors * 512)
        let disk = ScratchDisk(try open(path, .readOnly))
        let block = try BlockHarness(engine: engine, disk: disk)
        #expect(block.request(1, sector: 0, writing: [.readable([UInt8](repeating: 1, count: 512))])?.status == 1)
        #expect(block.request(0, sector: 0, reading: [512])?.status == 0)
        #expect(block.device.metrics.hostErrors.value == 1)
    }

    @Test(arguments: engines) func `a driver that cannot flush gets its writes through`(engine: BlockEngine) throws {
        let block = try BlockHarness(engine: engine, features: 0)
        #expect(block.request(1, sector: 0, writing: [.readable([UInt8](repeating: 1, count: 1024))])?.status == 0)
        #expect(try block.disk.bytes(at: 1023, count: 2) == [1, 0])
    }

    @Test func `a directory, a device that is no disk, and an empty file are refused`() throws {
        func error(_ file: consuming FileDescriptor) -> LinuxError? {
            do throws(LinuxError) {
                _ = try BlockBackend(file, isReadOnly: true)
                return nil
            } catch { return error }
        }
        #expect(error(try open("/tmp", .readOnly)) == LinuxError(21))
        #expect(error(try open("/dev/null", .readOnly)) == LinuxError(22))
        #expect(error(try memoryFile(name: "empty", lengthBytes: 511)) == LinuxError(22))
    }
}
