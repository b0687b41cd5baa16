import GuestMemory
import LinuxCalls
import VirtioQueues

/// Pages that lie next to each other, collected so that one call gives them all back.
struct PageRun: Equatable {
    var firstPage: UInt64 = 0
    var count: UInt64 = 0

    /// Takes the page in if it continues the run, at either end.
    mutating func extend(_ page: UInt64) -> Bool {
        if count == 0 {
            self = PageRun(firstPage: page, count: 1)
        } else if page == firstPage &+ count {
            count &+= 1
        } else if page &+ 1 == firstPage {
            firstPage = page
            count &+= 1
        } else {
            return false
        }
        return true
    }
}

/// The queues' work; each returns whether the guest wants an interrupt.
extension BalloonDevice {
    /// The most lists of pages, or reports, of one turn.
    private static let chainsPerTurn = 8
    private static let pageBytes: UInt64 = 4096

    /// Pages that the guest puts into the balloon.
    func inflate() throws(QueueError) -> Bool {
        guard let memory = service?.memory else { return false }
        var left = Self.chainsPerTurn
        service?.inflate.disableAvailableBufferNotifications()
        while true {
            if left == 0 {
                service?.doorbells[0].event.signal()
                break
            }
            guard let chain = try service?.inflate.nextChain() else {
                if try service?.inflate.enableAvailableBufferNotifications() == true { continue }
                break
            }
            left -= 1
            try chain.gather(in: memory, readable: &vectors)
            release(memory)
            service?.inflate.addUsed(head: chain.head, writtenBytes: 0)
        }
        return service?.inflate.publishUsed() ?? false
    }

    /// Gives the listed pages (little-endian numbers of four bytes) back to the host.
    private func release(_ memory: GuestMemory) {
        // No list is longer than all pages together.
        vectors.truncate(toBytes: memory.totalBytes / Self.pageBytes * 4)
        if vectors.totalBytes % 4 != 0 { metrics.invalidPages.add() }
        var run = PageRun()
        var numbers = InlineArray<64, UInt32>(repeating: 0)
        while vectors.totalBytes >= 4 {
            var span = numbers.mutableSpan
            let bytes = unsafe span.withUnsafeMutableBytes { buffer in
                // SAFETY: the numbers are a copy.
                unsafe vectors.removeFirst(copyingInto: buffer)
            }
            for index in 0..<bytes / 4 {
                let page = UInt64(UInt32(littleEndian: numbers[index]))
                metrics.inflatedPages.add()
                if run.extend(page) { continue }
                release(run, memory)
                run = PageRun(firstPage: page, count: 1)
            }
        }
        release(run, memory)
    }

    private func release(_ run: PageRun, _ memory: GuestMemory) {
        if run.count == 0 { return }
        let bytes = run.count &* Self.pageBytes
        do throws(GuestMemoryError) {
            let released = try memory.discard(GuestAddress(run.firstPage &* Self.pageBytes), lengthBytes: bytes)
            metrics.releasedBytes.add(released)
            if released == 0 { metrics.hostErrors.add() }
        } catch {
            // A run that leaves memory, or touches a gap: only its good pages are taken, one by one.
            if run.count == 1 { return metrics.invalidPages.add() }
            for page in run.firstPage..<run.firstPage &+ run.count {
                release(PageRun(firstPage: page, count: 1), memory)
            }
        }
    }

    /// Pages that the guest takes out again; they come back when it touches them.
    func deflate() throws(QueueError) -> Bool {
        guard let memory = service?.memory else { return false }
        var left = Self.chainsPerTurn * 8
        service?.deflate.disableAvailableBufferNotifications()
        while true {
            if left == 0 {
                service?.doorbells[1].event.signal()
                break
            }
            guard let chain = try service?.deflate.nextChain() else {
                if try service?.deflate.enableAvailableBufferNotifications() == true { continue }
                break
            }
            left -= 1
            try chain.gather(in: memory, readable: &vectors)
            metrics.deflatedPages.add(vectors.totalBytes / 4)
            service?.deflate.addUsed(head: chain.head, writtenBytes: 0)
        }
        return service?.deflate.publishUsed() ?? false
    }

    /// Reads the figures that the guest has sent and keeps its buffer until the next time they are wanted.
    func takeStatistics() throws(QueueError) -> Bool {
        guard let memory = service?.memory, service?.hasStatistics == true else { return false }
        while true {
            guard let chain = try service?.statistics?.nextChain() else {
                if try service?.statistics?.enableAvailableBufferNotifications() == true { continue }
                break
            }
            try chain.gather(in: memory, readable: &vectors)
            readStatistics()
            // One buffer is all that a driver needs; an older one is given back.
            if let head = service?.statisticsHead { service?.statistics?.addUsed(head: head, writtenBytes: 0) }
            service?.statisticsHead = chain.head
        }
        return service?.statistics?.publishUsed() ?? false
    }

    /// Entries of ten bytes: a tag (2) and a value (8). Unknown tags are skipped.
    private func readStatistics() {
        var figures = BalloonStatistics()
        for _ in 0..<64 where vectors.totalBytes >= 10 {
            var tag: UInt16 = 0
            var value: UInt64 = 0
            // SAFETY: both are copies.
            unsafe withUnsafeMutableBytes(of: &tag) { _ = unsafe vectors.removeFirst(copyingInto: $0) }
            unsafe withUnsafeMutableBytes(of: &value) { _ = unsafe vectors.removeFirst(copyingInto: $0) }
            if let tag = BalloonStatistics.Tag(rawValue: UInt16(littleEndian: tag)) {
                figures[tag] = UInt64(littleEndian: value)
            }
        }
        statistics = figures
        metrics.statisticsUpdates.add()
    }

    /// Gives the statistics buffer back, by which the guest is asked to fill it again.
    func askForStatistics() -> Bool {
        guard let head = service?.statisticsHead else { return false }
        service?.statisticsHead = nil
        service?.statistics?.addUsed(head: head, writtenBytes: 0)
        return service?.statistics?.publishUsed() ?? false
    }

    /// Free pages that the guest reports: each buffer is a range that it does not touch until the chain is given back.
    func takeReports() throws(QueueError) -> Bool {
        guard let memory = service?.memory, service?.hasReporting == true else { return false }
        var left = Self.chainsPerTurn
        while true {
            if left == 0 {
                service?.reportingDoorbell?.event.signal()
                break
            }
            guard var chain = try service?.reporting?.nextChain() else {
                if try service?.reporting?.enableAvailableBufferNotifications() == true { continue }
                break
            }
            left -= 1
            while let buffer = try chain.next(in: memory) {
                metrics.reportedRanges.add()
                do throws(GuestMemoryError) {
                    let released = try memory.discard(buffer.address, lengthBytes: UInt64(buffer.lengthBytes))
                    metrics.reportedBytes.add(released)
                    metrics.releasedBytes.add(released)
                } catch { metrics.invalidPages.add() }
            }
            service?.reporting?.addUsed(head: chain.head, writtenBytes: 0)
        }
        return service?.reporting?.publishUsed() ?? false
    }
}
