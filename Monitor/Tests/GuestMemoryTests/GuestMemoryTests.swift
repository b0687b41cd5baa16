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
}
