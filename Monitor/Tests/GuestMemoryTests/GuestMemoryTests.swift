import CLinux
import GuestMemory
import LinuxCalls
import Testing

@Suite struct GuestMemoryTests {
    let memory: GuestMemory

    init() throws { memory = try GuestMemory(totalBytes: 1 << 20) }

    @Test func `a stored value is loaded again, little-endian`() throws {
        try memory.store(UInt32(0x0403_0201), at: GuestAddress(0x100))
        #expect(try memory.bytes(at: GuestAddress(0x100), count: 4) == [1, 2, 3, 4])
        #expect(try memory.load(UInt16.self, at: GuestAddress(0x102)) == 0x0403)
    }

    @Test func `the last bytes of a region are memory and the next are not`() throws {
        let last = GuestAddress((1 << 20) - 8)
        try memory.store(UInt64.max, at: last)
        #expect(throws: GuestMemoryError.outOfRange(GuestAddress(1 << 20), lengthBytes: 8)) {
            try memory.store(UInt64(1), at: GuestAddress(1 << 20))
        }
        #expect(throws: GuestMemoryError.self) { try memory.write([1, 2], at: GuestAddress((1 << 20) - 1)) }
    }

    @Test func `a range that wraps around is refused`() {
        #expect(!memory.contains(GuestAddress(16), lengthBytes: .max))
        #expect(!memory.contains(GuestAddress(.max), lengthBytes: 1))
        #expect(GuestAddress(.max).advanced(by: 1) == nil)
    }

    @Test func `an empty range needs an address inside memory`() throws {
        #expect(memory.contains(GuestAddress(0), lengthBytes: 0))
        #expect(!memory.contains(GuestAddress(1 << 40), lengthBytes: 0))
        try memory.write([], at: GuestAddress(5))
    }

    @Test func `nobody makes the file behind it longer or shorter`() {
        for bytes in [0, 1 << 30] {
            #expect(throws: LinuxError(EPERM)) { try changeLength(memory.fileNumber, lengthBytes: UInt64(bytes)) }
        }
        #expect(throws: LinuxError(EPERM)) { try writeAll(memory.fileNumber, [1], offset: 1 << 30) }
    }

    @Test func `a misaligned value is refused`() {
        #expect(throws: GuestMemoryError.misaligned(GuestAddress(2))) {
            _ = try memory.load(UInt32.self, at: GuestAddress(2))
        }
    }

    @Test func `memory over the device window goes on at four gibibytes`() throws {
        let large = try GuestMemory(totalBytes: GuestMemoryPlan.deviceWindowStart + 4096)
        let high = GuestAddress(GuestMemoryPlan.highMemoryStart)
        try large.store(UInt8(7), at: high)
        #expect(try large.load(UInt8.self, at: high) == 7)
        #expect(!large.contains(GuestAddress(GuestMemoryPlan.deviceWindowStart), lengthBytes: 1))
        #expect(!large.contains(GuestAddress(GuestMemoryPlan.deviceWindowStart - 1), lengthBytes: 2))
        #expect(!large.contains(GuestAddress(high.value + 4095), lengthBytes: 2))
    }

    @Test func `vectors over guest memory serve reads and writes of files`() throws {
        let file = try memoryFile(name: "vectors", lengthBytes: 64)
        try memory.write(Array(0..<64), at: GuestAddress(0))
        var list = IOVectorList(capacity: 2)
        try list.append(memory, GuestAddress(32), lengthBytes: 16)
        try list.append(memory, GuestAddress(0), lengthBytes: 16)
        #expect(list.totalBytes == 32)
        #expect(throws: GuestMemoryError.tooManyVectors) { try list.append(memory, GuestAddress(0), lengthBytes: 1) }
        list.removeFirst(bytes: 20)
        list.truncate(toBytes: 8)
        let written = unsafe try list.withVectors { unsafe try VectoredIO.write(file.number, $0, offset: 0) }
        #expect(written == 8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(8)
        #expect(try read(file.number, appendingTo: &bytes, maximumBytes: 8) == 8)
        #expect(bytes == Array(4..<12))
    }

    @Test func `attachments lie behind all memory, each behind the one before`() throws {
        let large = try GuestMemory(totalBytes: GuestMemoryPlan.deviceWindowStart + (1 << 20))
        let file = try memoryFile(name: "attached", lengthBytes: 8192)
        let first = try large.attach(file: file, fileBytes: 8192, isReadOnly: false)
        #expect(first.start.value == GuestMemoryPlan.highMemoryStart + GuestMemory.attachmentAlignment)
        #expect(first.lengthBytes == 2 << 20)
        let second = try large.attachPluggable(lengthBytes: 1 << 30, blockBytes: 2 << 20)
        #expect(second.start.value == 5 << 30)
        #expect(throws: LinuxError.self) { try large.attachPluggable(lengthBytes: 1 << 39, blockBytes: 2 << 20) }
        #expect(throws: LinuxError.self) { try large.attachPluggable(lengthBytes: .max, blockBytes: 2 << 20) }
        for range in [(first.start.value - 1, 2), (first.start.value, 2 << 20 + 1), (first.start.value + 2 << 20, 1)] {
            #expect(!large.contains(GuestAddress(range.0), lengthBytes: UInt64(range.1)))
        }
        #expect(!large.contains(first.start, lengthBytes: .max))
        // What is written there is the file's, and not memory to be given back.
        try large.store(UInt32(77), at: GuestAddress(first.start.value + 4096))
        #expect(try readBytes(file.number, offset: 4096, count: 1) == [77])
        #expect(throws: GuestMemoryError.self) { try large.discard(first.start, lengthBytes: 8192) }
        #expect(try readBytes(file.number, offset: 4096, count: 1) == [77])
    }

    @Test func `what is written to a read-only attachment does not reach its file`() throws {
        let file = try memoryFile(name: "attached", lengthBytes: 4096)
        let attachment = try memory.attach(file: file, fileBytes: 4096, isReadOnly: true)
        try memory.store(UInt32(77), at: attachment.start)
        #expect(try memory.load(UInt32.self, at: attachment.start) == 77)
        #expect(try readBytes(file.number, offset: 0, count: 1) == [0])
    }
}
