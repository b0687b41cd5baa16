import FabricProtocol
import LinuxCalls
import Testing

@testable import Impairing

@Suite struct StretchPageTests {
    @Test func `what one says the other reads, also an engine that begins anew`() throws {
        let path = "/tmp/page-\(UInt32.random(in: .min ... .max))"
        defer { try? removeFile(path) }
        let engine = try StretchPage(making: path)
        let process = try StretchPage(opening: path)
        #expect(process.news(since: nil)?.impairment == Impairment())
        var wanted = Impairment()
        wanted.toMachine.delayMicroseconds = 80_000
        wanted.toMachine.jitterMicroseconds = 80_000
        wanted.toNetwork.lossMillipercent = 1500
        wanted.toNetwork.duplicateMillipercent = 7
        wanted.toNetwork.kilobitsPerSecond = 10_000_000
        engine.set(wanted)
        let first = process.news(since: nil)
        let again = process.news(since: first?.change)
        #expect(first?.impairment == wanted && again == nil)
        var counts = WayCounts()
        (counts.frames, counts.lost, counts.duplicated, counts.dropped, counts.waiting) = (1, 2, 3, 4, 5)
        process.tell(toMachine: counts, toNetwork: WayCounts())
        let next = try StretchPage(opening: path)
        #expect(next.toMachine == counts && next.toNetwork == WayCounts())
        next.set(Impairment())
        #expect(next.impairment == Impairment())
        // Also by a process that has read what was there before, and was kept from its processor since.
        #expect(process.news(since: first?.change)?.impairment == Impairment())
    }

    @Test func `what is no page is refused`() throws {
        let path = "/tmp/page-\(UInt32.random(in: .min ... .max))"
        defer { try? removeFile(path) }
        #expect(throws: LinuxError.self) { _ = try StretchPage(opening: path) }
        for length in [0, 100, 4096, 8192] {
            let file = try open(path, [.writeOnly, .create, .truncate])
            try writeAll(file.number, [UInt8](repeating: 1, count: length))
            #expect(throws: LinuxError.self) { _ = try StretchPage(opening: path) }
        }
        _ = try StretchPage(making: path)
        _ = try StretchPage(opening: path)
    }
}
