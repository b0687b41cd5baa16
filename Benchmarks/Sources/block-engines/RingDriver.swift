import GuestMemory
import LinuxCalls
import VirtioDevices
import VirtioQueues
import VirtioTestSupport

/// A driver of one block queue that keeps a number of requests under way and does as little as it can itself.
///
/// Its descriptors are laid out once: request n uses descriptors 3n to 3n + 2.
struct RingDriver {
    let harness: DeviceHarness
    let depth: UInt16
    let blockBytes: UInt32
    private let driver: MockDriver
    private let headers: GuestAddress
    private var available: UInt16 = 0
    private var used: UInt16 = 0

    init(_ harness: DeviceHarness, depth: UInt16, blockBytes: UInt32, isWrite: Bool) {
        self.harness = harness
        self.depth = depth
        self.blockBytes = blockBytes
        driver = harness.drivers[0]
        headers = driver.allocate(Int(depth) * 32)
        for slot in 0..<depth {
            let header = headers.value + UInt64(slot) * 32
            let data = driver.allocate(Int(blockBytes))
            try? harness.memory.store(UInt32(isWrite ? 1 : 0), at: GuestAddress(header))
            driver.setDescriptor(3 * slot, address: header, lengthBytes: 16, flags: 1, next: 3 * slot + 1)
            driver.setDescriptor(
                3 * slot + 1, address: data.value, lengthBytes: blockBytes, flags: isWrite ? 1 : 3, next: 3 * slot + 2)
            driver.setDescriptor(3 * slot + 2, address: header + 16, lengthBytes: 1, flags: 2, next: 0)
        }
    }

    /// Makes one request available; it is not seen before `publish`.
    mutating func add(slot: UInt16, sector: UInt64) {
        try? harness.memory.store(sector, at: GuestAddress(headers.value + UInt64(slot) * 32 + 8))
        driver.setAvailable(entry: available, head: 3 * slot)
        available &+= 1
    }

    /// Shows the device what was added, and notifies it if it wants that.
    mutating func publish(since before: UInt16) {
        driver.setAvailableIndex(available)
        fullMemoryBarrier()
        let wanted = driver.availableEvent
        if available &- wanted &- 1 < available &- before { harness.write(0x50, 0) }
    }

    var availableIndex: UInt16 { available }

    /// Takes what is finished; calls `body` with each request's slot.
    mutating func takeFinished(_ body: (inout RingDriver, UInt16) -> Void) -> Int {
        var count = 0
        while used != driver.publishedUsedIndex {
            let entry = driver.layout.usedRing.value + 4 + 8 * UInt64(used % driver.layout.size)
            guard let head = try? harness.memory.load(UInt32.self, at: GuestAddress(entry)) else { break }
            used &+= 1
            count += 1
            body(&self, UInt16(truncatingIfNeeded: head) / 3)
        }
        return count
    }

    /// Asks for an interrupt at the next finished request; returns whether one is there already.
    func wishInterrupt() -> Bool {
        driver.setUsedEvent(used)
        fullMemoryBarrier()
        return driver.publishedUsedIndex != used
    }

    func allStatusesAreGood() -> Bool {
        (0..<depth).allSatisfy { slot in
            let place = GuestAddress(headers.value + UInt64(slot) * 32 + 16)
            return (try? harness.memory.load(UInt8.self, at: place)) == 0
        }
    }
}
