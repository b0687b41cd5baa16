import GuestMemory
import Testing
import VirtioQueues
import VirtioTestSupport

/// Every table of two descriptors with small fields, against a model of the standard that is written the plain way.
@Suite struct SmallQueueEnumerationTests {
    struct Field: Equatable {
        var lengthBytes: UInt32
        var flags: UInt16
        var next: UInt16
    }

    enum Outcome: Equatable {
        case buffers([Bool])
        case error(QueueError)
    }

    static let fields: [Field] = [0, 1, 16, 32].flatMap { length in
        (0..<8 as Range<UInt16>).flatMap { flags in
            (0..<3 as Range<UInt16>).map { Field(lengthBytes: length, flags: flags, next: $0) }
        }
    }

    /// What the standard says of the chain that begins with `head`. The indirect table is at address 0: one plain
    /// readable descriptor and one plain writable one, each the last of its chain.
    static func model(_ table: [Field], head: UInt16, mayBeIndirect: Bool) -> Outcome {
        var directions: [Bool] = []
        var index = Int(head)
        for _ in 0..<table.count {
            let field = table[index]
            if field.flags & 4 != 0 {
                let isGood =
                    mayBeIndirect && field.flags & 1 == 0 && field.lengthBytes > 0 && field.lengthBytes % 16 == 0
                if !isGood { return .error(.invalidIndirectTable) }
                return directions.contains(true) ? .error(.readableAfterWritable) : .buffers(directions + [false])
            }
            let isWritable = field.flags & 2 != 0
            if !isWritable, directions.contains(true) { return .error(.readableAfterWritable) }
            directions.append(isWritable)
            if field.flags & 1 == 0 { return .buffers(directions) }
            index = Int(field.next)
            if index >= table.count { return .error(.descriptorIndex(field.next)) }
        }
        return .error(.chainTooLong)
    }

    @Test(arguments: [true, false]) func `all tables of two descriptors are walked as the standard says`(
        mayBeIndirect: Bool
    ) throws {
        let memory = try GuestMemory(totalBytes: 1 << 16)
        let features = mayBeIndirect ? QueueFeatures.indirectDescriptors : 0
        let driver = MockDriver(memory: memory, size: 2, features: features)
        driver.writeDescriptor(at: GuestAddress(0), 0x8000, 5, 0, next: 0)
        driver.writeDescriptor(at: GuestAddress(16), 0x8000, 5, 2, next: 0)
        let device = try DeviceSide(driver)
        driver.setAvailableIndex(1)
        var wrong = 0
        for first in Self.fields {
            driver.setDescriptor(0, address: 0, lengthBytes: first.lengthBytes, flags: first.flags, next: first.next)
            for second in Self.fields {
                driver.setDescriptor(
                    1, address: 0, lengthBytes: second.lengthBytes, flags: second.flags, next: second.next)
                for head in 0..<2 as Range<UInt16> {
                    driver.setAvailable(entry: 0, head: head)
                    let outcome = walk(device, memory)
                    device.putBack(chains: 1)
                    if outcome != Self.model([first, second], head: head, mayBeIndirect: mayBeIndirect) { wrong += 1 }
                }
            }
        }
        #expect(wrong == 0)
    }

    private func walk(_ device: DeviceSide, _ memory: GuestMemory) -> Outcome {
        do throws(QueueError) {
            guard var chain = try device.nextChain() else { return .buffers([]) }
            var directions: [Bool] = []
            while let buffer = try chain.next(in: memory) { directions.append(buffer.isDeviceWritable) }
            return .buffers(directions)
        } catch { return .error(error) }
    }

    /// Whatever is done in whatever order, every chain comes back once, in the order in which the device gave it.
    @Test func `random work on a queue loses and invents nothing`() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            let memory = try GuestMemory(totalBytes: 1 << 16)
            let size = UInt16(1) << UInt16(generator.next() % 4)
            let features = (generator.next() & 3) << 28
            let driver = MockDriver(memory: memory, size: size, features: features)
            var device = try DeviceSide(driver)
            var offered: [UInt16] = []
            var taken: [UInt16] = []
            var given: [UInt16] = []
            var counts = (added: 0, returned: 0)
            for _ in 0..<300 {
                switch generator.next() % 7 {
                case 0, 1:
                    if let head = driver.add([.writable(1)], indirect: features & 1 << 28 != 0) {
                        offered.append(head)
                        counts.added += 1
                    }
                case 2, 3:
                    let head = try device.nextChain()?.head
                    #expect(head == offered.first)
                    if !offered.isEmpty { taken.append(offered.removeFirst()) }
                case 4:
                    if taken.isEmpty { continue }
                    let head = taken.remove(at: Int(generator.next() % UInt64(taken.count)))
                    device.addUsed(head: head, writtenBytes: UInt32(head))
                    given.append(head)
                case 5:
                    _ = device.publishUsed()
                    while let used = driver.takeUsed() {
                        #expect(used == MockUsedChain(head: given.first ?? .max, writtenBytes: UInt32(used.head)))
                        if !given.isEmpty { given.removeFirst() }
                        counts.returned += 1
                    }
                default:
                    // A restore, with nothing in flight.
                    if taken.isEmpty, given.isEmpty { device = try DeviceSide(driver, position: device.position) }
                }
            }
            #expect(counts.added == counts.returned + offered.count + taken.count + given.count)
        }
    }
}
