import GuestMemory
import Testing
import VirtioQueues
import VirtioTestSupport

@Suite struct DescriptorChainTests {
    let memory: GuestMemory
    let driver: MockDriver

    init() throws {
        memory = try GuestMemory(totalBytes: 1 << 20)
        driver = MockDriver(
            memory: memory, size: 4, features: QueueFeatures.version1 | QueueFeatures.indirectDescriptors)
    }

    /// Walks the chain that begins with descriptor 0.
    func walk(_ driver: MockDriver? = nil) throws -> [DescriptorBuffer] {
        let driver = driver ?? self.driver
        let queue = try DeviceSide(driver)
        driver.setAvailable(entry: 0, head: 0)
        driver.setAvailableIndex(1)
        var chain = try #require(try queue.nextChain())
        var buffers: [DescriptorBuffer] = []
        while let buffer = try chain.next(in: memory) { buffers.append(buffer) }
        #expect(try chain.next(in: memory) == nil)
        return buffers
    }

    @Test func `a chain that loops ends in an error`() throws {
        driver.setDescriptor(0, address: 0, lengthBytes: 1, flags: 1, next: 1)
        driver.setDescriptor(1, address: 0, lengthBytes: 1, flags: 1, next: 0)
        #expect(throws: QueueError.chainTooLong) { _ = try walk() }
        driver.setDescriptor(0, address: 0, lengthBytes: 1, flags: 1, next: 0)
        #expect(throws: QueueError.chainTooLong) { _ = try walk() }
    }

    @Test func `a chain may be as long as the table`() throws {
        for index in 0..<4 as Range<UInt16> {
            driver.setDescriptor(index, address: 64, lengthBytes: 1, flags: index < 3 ? 1 : 0, next: index + 1)
        }
        #expect(try walk().count == 4)
    }

    @Test func `a next field outside the table is refused`() {
        driver.setDescriptor(0, address: 0, lengthBytes: 1, flags: 1, next: 4)
        #expect(throws: QueueError.descriptorIndex(4)) { _ = try walk() }
    }

    @Test func `readable after writable is refused`() {
        driver.setDescriptor(0, address: 0, lengthBytes: 1, flags: 3, next: 1)
        driver.setDescriptor(1, address: 0, lengthBytes: 1, flags: 0, next: 0)
        #expect(throws: QueueError.readableAfterWritable) { _ = try walk() }
    }

    @Test func `more than four gibibytes are refused`() {
        driver.setDescriptor(0, address: 0, lengthBytes: .max, flags: 3, next: 1)
        driver.setDescriptor(1, address: 0, lengthBytes: 2, flags: 2, next: 0)
        #expect(throws: QueueError.tooManyBytes) { _ = try walk() }
        driver.setDescriptor(1, address: 0, lengthBytes: 1, flags: 2, next: 0)
        #expect(throws: Never.self) { _ = try walk() }
    }

    @Test func `an indirect table is followed`() throws {
        let table: UInt64 = 0x8000
        // A direct descriptor first, then the table with two.
        driver.setDescriptor(0, address: 0x100, lengthBytes: 1, flags: 1, next: 3)
        driver.setDescriptor(3, address: table, lengthBytes: 48, flags: 4, next: 0)
        driver.writeDescriptor(at: GuestAddress(table), 0x200, 2, 1, next: 2)
        driver.writeDescriptor(at: GuestAddress(table + 32), 0x300, 3, 2, next: 0)
        #expect(try walk().map(\.address.value) == [0x100, 0x200, 0x300])
    }

    @Test func `an indirect table that loops ends in an error`() {
        driver.setDescriptor(0, address: 0x8000, lengthBytes: 32, flags: 4, next: 0)
        driver.writeDescriptor(at: GuestAddress(0x8000), 0, 1, 1, next: 0)
        #expect(throws: QueueError.chainTooLong) { _ = try walk() }
    }

    @Test(arguments: [
        (UInt64(0x8000), UInt32(0), UInt16(4)), (0x8000, 15, 4), (0x8000, 17, 4), (0x8000, 16, 5),
        (UInt64.max - 7, 16, 4),
    ])
    func `a broken indirect descriptor is refused`(address: UInt64, lengthBytes: UInt32, flags: UInt16) {
        driver.setDescriptor(0, address: address, lengthBytes: lengthBytes, flags: flags, next: 0)
        #expect(throws: QueueError.invalidIndirectTable) { _ = try walk() }
    }

    @Test func `a table inside a table is refused`() {
        driver.setDescriptor(0, address: 0x8000, lengthBytes: 16, flags: 4, next: 0)
        driver.writeDescriptor(at: GuestAddress(0x8000), 0x9000, 16, 4, next: 0)
        #expect(throws: QueueError.invalidIndirectTable) { _ = try walk() }
    }

    @Test func `an indirect table that was not negotiated is refused`() {
        let plain = MockDriver(memory: memory, size: 4)
        plain.setDescriptor(0, address: 0x8000, lengthBytes: 16, flags: 4, next: 0)
        #expect(throws: QueueError.invalidIndirectTable) { _ = try walk(plain) }
    }

    @Test func `an indirect table outside memory is refused`() {
        driver.setDescriptor(0, address: 1 << 20, lengthBytes: 16, flags: 4, next: 0)
        #expect(throws: QueueError.memory(.outOfRange(GuestAddress(1 << 20), lengthBytes: 8))) { _ = try walk() }
        driver.setDescriptor(0, address: 0x8004, lengthBytes: 16, flags: 4, next: 0)
        #expect(throws: QueueError.memory(.misaligned(GuestAddress(0x8004)))) { _ = try walk() }
    }

    @Test func `buffers are gathered into lists for the kernel`() throws {
        let queue = try DeviceSide(driver)
        driver.add([.readable([1, 2, 3]), .readable([4, 5]), .writable(7)], indirect: true)
        var readable = IOVectorList(capacity: 4)
        var writable = IOVectorList(capacity: 1)
        try #require(try queue.nextChain()).gather(in: memory, readable: &readable, writable: &writable)
        #expect(readable.totalBytes == 5)
        #expect(writable.totalBytes == 7)
        var header: [UInt8] = [0, 0, 0, 0]
        let copied = unsafe header.withUnsafeMutableBytes { unsafe readable.removeFirst(copyingInto: $0) }
        #expect(copied == 4)
        #expect(header == [1, 2, 3, 4])
        #expect(readable.totalBytes == 1)
        let written = unsafe header.withUnsafeBytes { unsafe writable.copyIn($0, atByte: 5) }
        #expect(written == 2)
        #expect(driver.contents(head: 0) == [0, 0, 0, 0, 0, 1, 2])
    }

    @Test func `a list that is too short, and a buffer outside memory, are errors of the chain`() throws {
        let queue = try DeviceSide(driver)
        driver.add([.writable(1), .writable(1)])
        driver.add([.raw(address: (1 << 20) - 1, lengthBytes: 2, isDeviceWritable: true)])
        var readable = IOVectorList(capacity: 1)
        var writable = IOVectorList(capacity: 1)
        let first = try #require(try queue.nextChain())
        let second = try #require(try queue.nextChain())
        #expect(throws: QueueError.memory(.tooManyVectors)) {
            try first.gather(in: memory, readable: &readable, writable: &writable)
        }
        #expect(throws: QueueError.memory(.outOfRange(GuestAddress((1 << 20) - 1), lengthBytes: 2))) {
            try second.gather(in: memory, readable: &readable, writable: &writable)
        }
        #expect(throws: QueueError.unexpectedDirection) { try first.gather(in: memory, readable: &readable) }
    }
}
