import GuestMemory
import LinuxCalls
import Testing

@Suite struct ChangesTests {
    private static let pageBytes: UInt64 = 4096

    private func page(_ number: UInt64) -> GuestAddress { GuestAddress(number * Self.pageBytes) }

    private func runs(_ list: [(UInt32, UInt32)]) -> PageRuns {
        var runs = PageRuns()
        for (first, count) in list { runs.append(.init(first: first, count: count)) }
        return runs
    }

    @Test func `runs are joined and come in rising order only`() {
        var pages = runs([(1, 2), (3, 1), (7, 1)])
        #expect(pages.runs == [.init(first: 1, count: 3), .init(first: 7, count: 1)])
        #expect(pages.pageCount == 4)
        for (first, count) in [(7, 2), (9, 0), (.max, 2), (0, 1)] as [(UInt32, UInt32)] {
            let isTaken = pages.append(.init(first: first, count: count))
            #expect(!isTaken)
        }
    }

    @Test func `a union has the pages of both`() {
        #expect(runs([(1, 3), (10, 1)]).union(runs([(0, 1), (2, 5), (11, 1)])) == runs([(0, 7), (10, 2)]))
        #expect(runs([(1, 9)]).union(runs([(2, 1), (4, 1)])) == runs([(1, 9)]))
        #expect(PageRuns().union(runs([(5, 1)])) == runs([(5, 1)]))
    }

    @Test func `pages written behind an image are those that changed, whoever wrote them`() throws {
        let image = try memoryFile(name: "image", lengthBytes: 64 * Self.pageBytes)
        try writeAll(image.number, [7], offset: 5 * Self.pageBytes)
        let memory = try GuestMemory(totalBytes: 64 * Self.pageBytes, image: image.duplicate())
        #expect(try memory.load(UInt8.self, at: page(5)) == 7)
        #expect(try memory.changedPages().isEmpty)
        try memory.store(1 as UInt8, at: page(5))
        try memory.zero(page(9), lengthBytes: 2 * Self.pageBytes)
        // By the kernel, on our behalf.
        _ = try memory.read(file: image.number, offset: 0, into: page(20), lengthBytes: 10)
        #expect(try memory.changedPages() == runs([(5, 1), (9, 2), (20, 1)]))
        #expect(try memory.discard(page(9), lengthBytes: Self.pageBytes) == Self.pageBytes)
        #expect(try memory.changedPages() == runs([(5, 1), (10, 1), (20, 1)]))
        #expect(try readBytes(image.number, offset: 5 * Self.pageBytes, count: 1) == [7])
    }

    @Test func `what was touched is known, and can be there before it is touched`() throws {
        let image = try memoryFile(name: "image", lengthBytes: 256 * Self.pageBytes)
        for page in 0..<256 as Range<UInt64> { try writeAll(image.number, [7], offset: page * Self.pageBytes) }
        let memory = try GuestMemory(totalBytes: 256 * Self.pageBytes, image: image.duplicate())
        #expect(try memory.load(UInt8.self, at: page(100)) == 7)
        try memory.store(1 as UInt8, at: page(200))
        let (read, written) = try memory.touchedPages()
        #expect(written == runs([(200, 1)]))
        #expect(read.runs.contains { $0.first <= 100 && $0.first + $0.count > 100 } && read.pageCount < 64)

        let next = try GuestMemory(totalBytes: 256 * Self.pageBytes, image: image.duplicate())
        try next.prefetch(runs([(100, 3), (255, 9)]), isWritten: false)
        try next.prefetch(runs([(200, 1)]), isWritten: true)
        let there = try next.touchedPages()
        #expect(there.read.union(runs([(100, 3), (255, 1)])) == there.read && there.written == runs([(200, 1)]))
        #expect(try next.load(UInt8.self, at: page(200)) == 7)
        // Pages that the file has no more: an error, and nobody waits or ends.
        try changeLength(image.number, lengthBytes: 128 * Self.pageBytes)
        #expect(throws: LinuxError.self) { try next.prefetch(runs([(150, 1)]), isWritten: false) }
    }

    @Test func `nothing is known of memory that nobody has kept`() throws {
        let memory = try GuestMemory(totalBytes: 1 << 20)
        #expect(throws: LinuxError.invalidArgument) { try memory.changedPages() }
        #expect(throws: LinuxError.invalidArgument) { try memory.settleChanges(PageRuns()) }
    }

    @Test func `frozen memory stays as it was, with what was laid over it, and the guest's goes on`() throws {
        let memory = try GuestMemory(totalBytes: 4 << 20)
        let kernel = try memoryFile(name: "kernel", lengthBytes: 2 * Self.pageBytes)
        try writeAll(kernel.number, [0x6b], offset: 0)
        try writeAll(kernel.number, [0x6c], offset: Self.pageBytes)
        try memory.store(1 as UInt8, at: page(1))
        try memory.map(file: kernel.number, offset: 0, over: page(3), lengthBytes: 2 * Self.pageBytes)
        try memory.store(4 as UInt8, at: page(4))
        try memory.store(9 as UInt8, at: page(900))
        let frozen = try memory.freeze()
        #expect(try memory.changedPages().isEmpty)
        for (number, value) in [(1, 1), (3, 0x6b), (4, 4), (900, 9), (2, 0)] as [(UInt64, UInt8)] {
            #expect(try memory.load(UInt8.self, at: page(number)) == value)
        }
        try memory.store(2 as UInt8, at: page(1))
        try memory.store(2 as UInt8, at: page(2))
        let file = try memoryFile(name: "copy", lengthBytes: 0)
        #expect(try frozen.writeImage(to: file.number) == 4 * Self.pageBytes)
        for (number, value) in [(1, 1), (2, 0), (3, 0x6b), (4, 4), (900, 9)] as [(UInt64, UInt8)] {
            #expect(try readBytes(file.number, offset: number * Self.pageBytes, count: 1) == [value])
        }
        #expect(try memory.changedPages() == runs([(1, 2)]))
        #expect(throws: LinuxError.invalidArgument) { _ = try memory.freeze() }

        // What has changed is taken as what there is.
        try memory.settleChanges(try memory.changedPages())
        #expect(try memory.changedPages().isEmpty)
        #expect(try memory.load(UInt8.self, at: page(1)) == 2 && memory.load(UInt8.self, at: page(2)) == 2)
        try memory.store(5 as UInt8, at: page(2))
        let changes = try memoryFile(name: "changes", lengthBytes: 0)
        #expect(try memory.write(try memory.changedPages(), to: changes.number) == Self.pageBytes)
        #expect(try fileSizeBytes(changes.number) == 4 << 20)
        #expect(try readBytes(changes.number, offset: 2 * Self.pageBytes, count: 1) == [5])
        #expect(try nextData(changes.number, from: 0)?.start == 2 * Self.pageBytes)
    }

    @Test func `what is given back is noted while somebody wants to know`() throws {
        let memory = try GuestMemory(totalBytes: 4 << 20)
        _ = try memory.freeze()
        for index in 1..<8 { try memory.store(2 as UInt8, at: page(UInt64(index))) }
        _ = try memory.discard(page(1), lengthBytes: Self.pageBytes)
        memory.noteDiscards()
        _ = try memory.discard(page(6), lengthBytes: Self.pageBytes)
        _ = try memory.discard(page(3), lengthBytes: 2 * Self.pageBytes)
        #expect(memory.takeDiscards() == runs([(3, 2), (6, 1)]))
        _ = try memory.discard(page(5), lengthBytes: Self.pageBytes)
        #expect(memory.takeDiscards().isEmpty)
        #expect(try memory.changedPages() == runs([(2, 1), (7, 1)]))
    }

    @Test func `memory in two regions is kept as one image`() throws {
        let memory = try GuestMemory(totalBytes: GuestMemoryPlan.deviceWindowStart + 4 * Self.pageBytes)
        let high = GuestAddress(GuestMemoryPlan.highMemoryStart + Self.pageBytes)
        let last = GuestAddress(GuestMemoryPlan.deviceWindowStart - Self.pageBytes)
        try memory.store(3 as UInt8, at: high)
        _ = try memory.freeze()
        try memory.store(4 as UInt8, at: high)
        try memory.store(5 as UInt8, at: last)
        let end = UInt32(GuestMemoryPlan.deviceWindowStart / Self.pageBytes)
        #expect(try memory.changedPages() == runs([(end - 1, 1), (end + 1, 1)]))
        try memory.settleChanges(try memory.changedPages())
        #expect(try memory.load(UInt8.self, at: high) == 4 && memory.load(UInt8.self, at: last) == 5)
    }
}
