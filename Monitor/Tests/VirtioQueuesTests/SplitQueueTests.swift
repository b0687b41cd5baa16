import GuestMemory
import Testing
import VirtioQueues
import VirtioTestSupport

@Suite struct SplitQueueTests {
    let memory: GuestMemory

    init() throws { memory = try GuestMemory(totalBytes: 1 << 20) }

    func driver(size: UInt16 = 4, _ features: UInt64 = 0) -> MockDriver {
        MockDriver(memory: memory, size: size, features: features | QueueFeatures.version1)
    }

    @Test func `chains come in order and go back with what was written`() throws {
        let driver = driver()
        let queue = try DeviceSide(driver)
        let first = try #require(driver.add([.readable([1, 2, 3]), .writable(8)]))
        let second = try #require(driver.add([.writable(1)]))
        var chain = try #require(try queue.nextChain())
        #expect(chain.head == first)
        let readable = try #require(try chain.next(in: memory))
        #expect(readable.lengthBytes == 3)
        #expect(!readable.isDeviceWritable)
        let writable = try #require(try chain.next(in: memory))
        #expect(writable.lengthBytes == 8)
        #expect(writable.isDeviceWritable)
        #expect(try chain.next(in: memory) == nil)
        #expect(try queue.nextChain()?.head == second)
        #expect(try queue.nextChain() == nil)
        #expect(queue.inFlight == 2)
        queue.addUsed(head: second, writtenBytes: 1)
        queue.addUsed(head: first, writtenBytes: 8)
        #expect(driver.takeUsed() == nil)
        #expect(queue.publishUsed())
        #expect(!queue.publishUsed())
        #expect(driver.takeUsed() == MockUsedChain(head: second, writtenBytes: 1))
        #expect(driver.takeUsed() == MockUsedChain(head: first, writtenBytes: 8))
        #expect(driver.takeUsed() == nil)
    }

    @Test func `the indexes wrap around`() throws {
        let driver = driver(size: 2)
        let queue = try DeviceSide(driver)
        for round in 0..<70_000 {
            let head = try #require(driver.add([.readable([UInt8(truncatingIfNeeded: round)])]))
            let chain = try #require(try queue.nextChain())
            queue.addUsed(head: chain.head, writtenBytes: 0)
            _ = queue.publishUsed()
            #expect(driver.takeUsed()?.head == head)
        }
        #expect(queue.position.nextUsed == UInt16(truncatingIfNeeded: 70_000))
    }

    @Test func `a chain that is put back is found again`() throws {
        let driver = driver()
        let queue = try DeviceSide(driver)
        let first = driver.add([.writable(1)])
        driver.add([.writable(2)])
        _ = try queue.nextChain()
        _ = try queue.nextChain()
        queue.putBack(chains: 2)
        #expect(try queue.nextChain()?.head == first)
        queue.putBack(chains: 9)
        #expect(queue.inFlight == 0)
        #expect(queue.position == QueuePosition())
    }

    @Test func `a queue goes on where its position says`() throws {
        let driver = driver()
        let queue = try DeviceSide(driver)
        for byte in 0..<3 as Range<UInt8> { driver.add([.readable([byte])]) }
        let head = try #require(try queue.nextChain()?.head)
        queue.addUsed(head: head, writtenBytes: 0)
        _ = queue.publishUsed()
        let second = try DeviceSide(driver, position: queue.position)
        #expect(try second.nextChain()?.head == 1)
        second.addUsed(head: 1, writtenBytes: 5)
        _ = second.publishUsed()
        _ = driver.takeUsed()
        #expect(driver.takeUsed() == MockUsedChain(head: 1, writtenBytes: 5))
    }

    @Test(arguments: [0, 3, 6, 32, 0x8001] as [UInt16]) func `an impossible size is refused`(size: UInt16) {
        var layout = driver(size: 16).layout
        layout.size = size
        #expect(throws: QueueError.invalidSize(size)) {
            _ = try SplitQueue(validating: layout, memory: memory, maximumSize: 16, acceptedFeatures: 0).size
        }
    }

    @Test func `rings must be aligned and inside memory`() {
        let good = driver().layout
        func refuse(_ error: QueueError, _ change: (inout QueueLayout) -> Void) {
            var layout = good
            change(&layout)
            #expect(throws: error) {
                _ = try SplitQueue(validating: layout, memory: memory, maximumSize: 16, acceptedFeatures: 0).size
            }
        }
        refuse(.misalignedRing(GuestAddress(8))) { $0.descriptorTable = GuestAddress(8) }
        refuse(.misalignedRing(GuestAddress(1))) { $0.availableRing = GuestAddress(1) }
        refuse(.misalignedRing(GuestAddress(2))) { $0.usedRing = GuestAddress(2) }
        let end = GuestAddress((1 << 20) - 16)
        refuse(.memory(.outOfRange(end, lengthBytes: 64))) { $0.descriptorTable = end }
        let last = GuestAddress((1 << 20) - 12)
        refuse(.memory(.outOfRange(last, lengthBytes: 14))) { $0.availableRing = last }
        let far = GuestAddress(UInt64.max - 3)
        refuse(.memory(.outOfRange(far, lengthBytes: 38))) { $0.usedRing = far }
    }

    @Test func `an available index that runs ahead is refused`() throws {
        let driver = driver(size: 4)
        let queue = try DeviceSide(driver)
        driver.setAvailableIndex(5)
        #expect(throws: QueueError.availableIndexTooFar(5)) { _ = try queue.nextChain() }
        driver.setAvailableIndex(4)
        for _ in 0..<4 { _ = try queue.nextChain() }
        // All four are in flight: a fifth cannot be.
        driver.setAvailableIndex(5)
        #expect(throws: QueueError.availableIndexTooFar(5)) { _ = try queue.nextChain() }
        driver.setAvailableIndex(3)
        #expect(throws: QueueError.availableIndexTooFar(3)) { _ = try queue.nextChain() }
    }

    @Test func `a head outside the table is refused`() throws {
        let driver = driver(size: 4)
        let queue = try DeviceSide(driver)
        driver.setAvailable(entry: 0, head: 4)
        driver.setAvailableIndex(1)
        #expect(throws: QueueError.descriptorIndex(4)) { _ = try queue.nextChain() }
    }
}
