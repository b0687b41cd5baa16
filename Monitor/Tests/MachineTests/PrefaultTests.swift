import BootTestSupport
import GuestMemory
import LinuxCalls
import Testing

@testable import Machine

@Suite struct PrefaultTests {
    /// A page that the guest has a copy of does not follow the file any more; one that it shares does.
    @Test func `just the named pages are copied, in many turns of the loop`() throws {
        let pages = 200
        let file = try memoryFile(holding: [UInt8](repeating: 1, count: pages * 4096))
        let memory = try GuestMemory(totalBytes: 4 << 20)
        try memory.map(
            file: file.number, offset: 0, over: GuestAddress(0x10_0000), lengthBytes: UInt64(pages) * 4096)
        let loop = try EventLoop()
        // The first page only in part, and two ranges with a page between them.
        let first = GuestRange(start: GuestAddress(0x10_0010), lengthBytes: 150 * 4096 - 16)
        let second = GuestRange(start: GuestAddress(0x10_0000 + 151 * 4096), lengthBytes: 10 * 4096)
        try Prefault.start([first, second], of: memory, on: loop)
        // Pieces: three of the first range, one of the second; then the end.
        for _ in 0..<5 { loop.runOnce(timeoutMilliseconds: 10_000) }
        try rewrite(file.number, [UInt8](repeating: 2, count: pages * 4096))
        let shared = (0..<pages).filter { (try? memory.load(UInt8.self, at: page($0))) == 2 }
        #expect(shared == [0, 150] + Array(161..<200))
    }

    @Test func `ranges that are empty or not memory are passed over`() throws {
        let file = try memoryFile(holding: [UInt8](repeating: 1, count: 4096))
        let memory = try GuestMemory(totalBytes: 4 << 20)
        try memory.map(file: file.number, offset: 0, over: page(0), lengthBytes: 4096)
        let loop = try EventLoop()
        let ranges = [
            GuestRange(start: GuestAddress(0), lengthBytes: 0),
            GuestRange(start: GuestAddress(8 << 20), lengthBytes: 4096),
            GuestRange(start: GuestAddress(.max), lengthBytes: .max),
            GuestRange(start: page(0), lengthBytes: 4096),
        ]
        try Prefault.start(ranges, of: memory, on: loop)
        for _ in 0..<5 { loop.runOnce(timeoutMilliseconds: 10_000) }
        try rewrite(file.number, [2])
        #expect(try memory.load(UInt8.self, at: page(0)) == 1)
    }

    private func page(_ number: Int) -> GuestAddress { GuestAddress(0x10_0000 + UInt64(number) * 4096) }
}
