import GuestMemory
import Testing
import VirtioQueues
import VirtioTestSupport

@Suite struct NotificationTests {
    let memory: GuestMemory

    init() throws { memory = try GuestMemory(totalBytes: 1 << 20) }

    /// Serves one chain; returns whether the device is to interrupt.
    func serveOne(_ driver: MockDriver, _ queue: DeviceSide) throws -> Bool {
        driver.add([.writable(1)])
        let chain = try #require(try queue.nextChain())
        queue.addUsed(head: chain.head, writtenBytes: 1)
        defer { _ = driver.takeUsed() }
        return queue.publishUsed()
    }

    @Test func `the driver's flag turns interrupts off`() throws {
        let driver = MockDriver(memory: memory)
        let queue = try DeviceSide(driver)
        #expect(try serveOne(driver, queue))
        driver.setAvailableFlags(1)
        #expect(try !serveOne(driver, queue))
    }

    @Test func `with the event index an interrupt comes at the wished chain`() throws {
        let driver = MockDriver(memory: memory, features: QueueFeatures.version1 | QueueFeatures.eventIndex)
        let queue = try DeviceSide(driver)
        driver.setUsedEvent(2)
        driver.setAvailableFlags(1)
        #expect(try !serveOne(driver, queue))
        #expect(try !serveOne(driver, queue))
        #expect(try serveOne(driver, queue))
        #expect(try !serveOne(driver, queue))
    }

    /// Every place of the wish relative to a batch, over the wrap of the index, against the formula of the standard.
    @Test func `the event index agrees with the standard's formula`() throws {
        let features = QueueFeatures.version1 | QueueFeatures.eventIndex
        for start in [0, 5, 0xfffe, 0xffff] as [UInt16] {
            for batch in 1...4 as ClosedRange<UInt16> {
                for wish in 0..<12 as Range<UInt16> {
                    let driver = MockDriver(memory: memory, size: 4, features: features)
                    let queue = try DeviceSide(
                        driver, position: QueuePosition(nextAvailable: start, nextUsed: start))
                    driver.setUsedEvent(start &+ wish &- 4)
                    driver.setAvailableIndex(start &+ batch)
                    for _ in 0..<batch {
                        let head = try #require(try queue.nextChain()?.head)
                        queue.addUsed(head: head, writtenBytes: 0)
                    }
                    // The wish is met when the entry it names is among those given back now.
                    let isAmong = (4..<4 + batch).contains(wish)
                    #expect(queue.publishUsed() == isAmong, "start \(start) batch \(batch) wish \(wish)")
                }
            }
        }
    }

    @Test func `the device's flag tells the driver not to notify`() throws {
        let driver = MockDriver(memory: memory)
        let queue = try DeviceSide(driver)
        queue.disableNotifications()
        #expect(driver.usedFlags == 1)
        #expect(try !queue.enableNotifications())
        #expect(driver.usedFlags == 0)
    }

    @Test func `what became available before notifications are on is not missed`() throws {
        for features in [0, QueueFeatures.eventIndex] {
            let driver = MockDriver(memory: memory, features: QueueFeatures.version1 | features)
            let queue = try DeviceSide(driver)
            queue.disableNotifications()
            #expect(try queue.nextChain() == nil)
            driver.add([.writable(1)])
            #expect(try queue.enableNotifications())
            #expect(try queue.nextChain() != nil)
            #expect(try !queue.enableNotifications())
            if features != 0 { #expect(driver.availableEvent == 1) }
        }
    }
}
