import GuestMemory
import LinuxCalls
import Snapshots
import Testing

@Suite struct DifferentialImageTests {
    private static let memoryBytes: UInt64 = 1 << 20
    private let parent = [UInt8](repeating: 1, count: 16)
    private let identifier = [UInt8](repeating: 2, count: 16)

    private var pages: PageRuns {
        var pages = PageRuns()
        pages.append(.init(first: 3, count: 2))
        pages.append(.init(first: 255, count: 1))
        return pages
    }

    private func file(_ change: (inout [UInt8]) -> Void = { _ in }) throws -> FileDescriptor {
        var bytes = DifferentialImage.trailer(
            identifier: identifier, memoryBytes: Self.memoryBytes, parents: [parent, identifier], pages: pages)
        change(&bytes)
        let file = try memoryFile(name: "changes", lengthBytes: Self.memoryBytes)
        try writeAll(file.number, bytes, offset: Self.memoryBytes)
        return file
    }

    private func full(_ identifier: [UInt8], memoryBytes: UInt64 = memoryBytes) throws -> FileDescriptor {
        let file = try memoryFile(name: "full", lengthBytes: memoryBytes + 4096)
        try writeAll(
            file.number, MemoryImage.trailer(identifier: identifier, memoryBytes: memoryBytes), offset: memoryBytes)
        return file
    }

    private func refusal(_ body: () throws -> Void) -> SnapshotError? {
        do { try body() } catch { return error as? SnapshotError }
        return nil
    }

    @Test func `what is written is what is read`() throws {
        let image = try DifferentialImage(try file())
        #expect(image.identifier == identifier && image.parents == [parent, identifier])
        #expect(image.pages == pages && image.memoryBytes == Self.memoryBytes)
    }

    @Test func `a working set is read as it was written, and anything else is none`() {
        var written = PageRuns()
        written.append(.init(first: 0, count: 256))
        let set = WorkingSet(read: pages, written: written)
        let bytes = set.encoded(identifier: identifier, memoryBytes: Self.memoryBytes)
        func decode(_ bytes: [UInt8], memoryBytes: UInt64 = Self.memoryBytes) -> WorkingSet? {
            WorkingSet(decoding: bytes, identifier: identifier, memoryBytes: memoryBytes)
        }
        #expect(decode(bytes) == set)
        #expect(decode(bytes, memoryBytes: Self.memoryBytes * 2) == nil)
        #expect(WorkingSet(decoding: bytes, identifier: parent, memoryBytes: Self.memoryBytes) == nil)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 0x40
            #expect(decode(changed) == nil, "byte \(index)")
            #expect(decode(Array(bytes[..<index])) == nil, "\(index) bytes")
        }
        // Well-formed, and beyond the end of memory.
        written.append(.init(first: 256, count: 1))
        let beyond = WorkingSet(read: pages, written: written)
        #expect(decode(beyond.encoded(identifier: identifier, memoryBytes: Self.memoryBytes)) == nil)
    }

    @Test func `each changed byte of what stands behind the memory is seen`() throws {
        let count = 32 + 16 + 64
        for index in 0..<count {
            let refusal = refusal { _ = try DifferentialImage(try file { $0[index] ^= 0x10 }) }
            #expect(refusal != nil, "byte \(index)")
        }
        #expect(refusal { _ = try DifferentialImage(try file { $0.removeFirst() }) } != nil)
        #expect(refusal { _ = try DifferentialImage(try full(parent)) } == .notDifferential)
        #expect(
            refusal { _ = try DifferentialImage(try memoryFile(name: "empty", lengthBytes: 0)) } == .notDifferential)
    }

    @Test func `pages that are given back or zero are zeros in what is merged`() throws {
        let base = try full(parent)
        for page in 0..<256 as Range<UInt64> { try writeAll(base.number, [9], offset: page * 4096) }
        let changes = try file()
        try writeAll(changes.number, [5], offset: 3 * 4096)
        // Not in the list, and so nobody's.
        try writeAll(changes.number, [5], offset: 7 * 4096)
        let result = try memoryFile(name: "result", lengthBytes: 0)
        try MemoryMerge.copy(base.number, to: result.number)
        try MemoryMerge.lay(try DifferentialImage(changes), over: result.number)
        for (page, value) in [(2, 9), (3, 5), (4, 0), (5, 9), (7, 9), (254, 9), (255, 0)] as [(UInt64, UInt8)] {
            #expect(try readBytes(result.number, offset: page * 4096, count: 1) == [value], "page \(page)")
        }
        #expect(try MemoryImage.readTrailer(result.number).identifier == identifier)
        #expect(try MemoryImage.readTrailer(base.number).identifier == parent)
    }

    @Test func `what does not belong together is refused, and the memory stays as it was`() throws {
        let other = try full([UInt8](repeating: 3, count: 16))
        #expect(refusal { try MemoryMerge.lay(try DifferentialImage(try file()), over: other.number) } == .otherParent)
        let larger = try full(parent, memoryBytes: 2 << 20)
        #expect(
            refusal { try MemoryMerge.lay(try DifferentialImage(try file()), over: larger.number) }
                == .otherMemorySize(found: 1 << 20, wanted: 2 << 20))
        #expect(try MemoryImage.readTrailer(other.number).memoryBytes == Self.memoryBytes)
        let state = try memoryFile(name: "state", lengthBytes: 5000)
        let result = try memoryFile(name: "result", lengthBytes: 0)
        #expect(refusal { try MemoryMerge.copy(state.number, to: result.number) } == .notFull)
        let changes = try file()
        #expect(refusal { try MemoryMerge.copy(changes.number, to: result.number) } == .notFull)
        let damaged = try full(parent)
        try writeAll(damaged.number, [7], offset: Self.memoryBytes + 20)
        #expect(refusal { try MemoryMerge.copy(damaged.number, to: result.number) } == .damagedMemory)
        #expect(
            refusal { _ = try MemoryImage(try file(), identifier: identifier, memoryBytes: Self.memoryBytes) }
                == .differentialMemory)
    }
}
