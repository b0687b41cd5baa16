import LinuxCalls
import Testing
import VirtioDevices
import VirtioTestSupport

/// A read-only disk of several files laid one after the other.
@Suite struct BlockSegmentTests {
    /// Files whose bytes tell where on the disk they lie, and the device over them.
    private struct SegmentedDisk {
        let files: [ScratchDisk]
        let content: [UInt8]
        let block: BlockHarness

        init(blocks: [Int], engine: BlockEngine) throws {
            var content: [UInt8] = []
            var generator = SeededGenerator(seed: 5)
            for _ in 0..<blocks.reduce(0, +) * 512 { content += BlockHarness.littleEndian(generator.next(), 8) }
            var files: [ScratchDisk] = []
            var start = 0
            for count in blocks {
                let file = try ScratchDisk(lengthBytes: UInt64(count) * 4096)
                try file.write(Array(content[start..<start + count * 4096]), at: 0)
                start += count * 4096
                files.append(file)
            }
            var sequence = FileSequence(
                try files[0].open(), lengthBytes: UInt64(blocks[0]) * 4096, capacity: files.count)
            for (file, count) in zip(files, blocks).dropFirst() {
                try sequence.append(try file.open(), lengthBytes: UInt64(count) * 4096)
            }
            block = try BlockHarness(BlockBackend(readOnly: sequence), disk: files[0], engine: engine)
            self.files = files
            self.content = content
        }

        /// Whether a read of these sectors, into buffers of these lengths, gives the disk's bytes.
        func isRead(sector: Int, into lengths: [Int]) -> Bool {
            let answer = block.request(0, sector: UInt64(sector), reading: lengths)
            let start = sector * 512
            return answer?.status == 0 && answer?.data == Array(content[start..<start + lengths.reduce(0, +)])
        }
    }

    @Test(arguments: engines) func `every range of sectors is read right, whatever ends it crosses`(
        engine: BlockEngine
    ) throws {
        let disk = try SegmentedDisk(blocks: [1, 2, 1, 1], engine: engine)
        var wrong: [Range<Int>] = []
        for start in 0..<40 {
            for count in 1...40 - start where !disk.isRead(sector: start, into: [count * 512]) {
                wrong.append(start..<start + count)
            }
        }
        #expect(wrong == [])
        #expect(disk.block.device.metrics.hostErrors.value == 0)
        #expect(disk.block.device.metrics.reads.value == 820)
    }

    @Test(arguments: engines) func `buffers may end anywhere beside the ends of segments`(engine: BlockEngine) throws {
        let disk = try SegmentedDisk(blocks: [1, 1, 3, 1], engine: engine)
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<300 {
            let start = Int.random(in: 0..<48, using: &generator)
            var left = Int.random(in: 1...48 - start, using: &generator) * 512
            var lengths: [Int] = []
            while left > 0 {
                let length = lengths.count == 90 ? left : min(left, Int.random(in: 1...1500, using: &generator))
                lengths.append(length)
                left -= length
            }
            #expect(disk.isRead(sector: start, into: lengths), "\(start) \(lengths)")
        }
    }

    @Test(arguments: engines) func `256 segments are one disk`(engine: BlockEngine) throws {
        let disk = try SegmentedDisk(blocks: Array(repeating: 1, count: 256), engine: engine)
        #expect(disk.block.harness.transport.read(offset: 0x100, width: 8) == 2048)
        for start in stride(from: 0, to: 2048, by: 37) {
            #expect(disk.isRead(sector: start, into: [512 * min(900, 2048 - start)]))
        }
        #expect(disk.block.request(0, sector: 2047, reading: [1024])?.status == 1)
        #expect(disk.block.device.metrics.badRequests.value == 1)
    }

    @Test(arguments: engines) func `many requests at once each get their own bytes`(engine: BlockEngine) throws {
        let disk = try SegmentedDisk(blocks: [1, 3, 1, 2, 1], engine: engine)
        var expected: [Int] = []
        for sector in 0..<50 {
            // Each crosses at least one end.
            disk.block.driver.add([
                .readable(BlockHarness.header(0, sector: UInt64(sector))), .writable(6000), .writable(1168),
                .writable(1),
            ])
            expected.append(sector)
        }
        disk.block.harness.notify()
        var seen = 0
        while let (_, contents) = disk.block.harness.awaitUsed(timeoutMilliseconds: seen == 50 ? 1 : 5000) {
            #expect(contents.last == 0)
            let bytes = Array(contents.dropLast())
            let place = expected.firstIndex { Array(disk.content[$0 * 512..<$0 * 512 + 7168]) == bytes }
            #expect(place != nil)
            if let place { expected.remove(at: place) }
            seen += 1
        }
        #expect(expected.isEmpty && seen == 50)
    }

    @Test(arguments: engines) func `a segment that shrinks gives errors where it is gone, and nothing else`(
        engine: BlockEngine
    ) throws {
        let disk = try SegmentedDisk(blocks: [2, 2, 2], engine: engine)
        var told: [Int] = []
        disk.block.restart { _, index, offset in told += [index, Int(offset)] }
        try disk.files[1].truncate(toBytes: 5000)
        // What is left of it, and all of the others.
        #expect(disk.isRead(sector: 0, into: [8192 + 4608]))
        #expect(disk.isRead(sector: 32, into: [8192]))
        // Within the lost part, into it, and across it: an error, never bytes of the next file.
        for (sector, length) in [(26, 512), (31, 512), (24, 2048), (0, 48 * 512), (31, 1024)] {
            #expect(disk.block.request(0, sector: UInt64(sector), reading: [length])?.status == 1, "\(sector)")
        }
        #expect(disk.block.device.metrics.hostErrors.value == 5)
        #expect(told == [1, 26 * 512])
        #expect(disk.isRead(sector: 32, into: [512]))
    }

    @Test(arguments: engines) func `a segment that grows is not seen longer`(engine: BlockEngine) throws {
        let disk = try SegmentedDisk(blocks: [1, 1], engine: engine)
        try disk.files[0].truncate(toBytes: 1 << 20)
        #expect(disk.isRead(sector: 0, into: [8192]))
    }

    @Test(arguments: engines) func `a disk of segments is read-only`(engine: BlockEngine) throws {
        let disk = try SegmentedDisk(blocks: [1, 1], engine: engine)
        #expect(disk.block.device.offeredFeatures & 1 << 5 != 0)
        let sector = [UInt8](repeating: 1, count: 512)
        #expect(disk.block.request(1, sector: 0, writing: [.readable(sector)])?.status == 1)
        #expect(disk.block.request(4, sector: 0)?.status == 0)
        #expect(disk.isRead(sector: 0, into: [512]))
    }

    @Test(arguments: engines) func `a disk of segments conforms`(engine: BlockEngine) throws {
        let conformance = DeviceConformance {
            let file = try ScratchDisk(lengthBytes: 4096)
            var files = FileSequence(try file.open(), lengthBytes: 4096, capacity: 16)
            for _ in 1..<16 { try files.append(try file.open(), lengthBytes: 4096) }
            return BlockDevice(
                BlockBackend(readOnly: files), serial: "", engine: engine, loop: try DeviceHarness.makeLoop())
        }
        #expect(try conformance.run() == [])
    }
}
