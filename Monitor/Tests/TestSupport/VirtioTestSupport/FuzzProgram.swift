public import GuestMemory
public import LinuxCalls
public import VirtioDevices
import VirtioQueues

/// A fuzzer's bytes, read as a program of a bad driver: register accesses, ring contents, notifications, resets.
///
/// The same entry serves a fuzzing engine, the replay of a corpus, and property tests that make programs from a seed.
/// Every byte string is a program; running one must neither trap nor hang, whatever it says.
public struct FuzzProgram {
    private let bytes: [UInt8]
    private var position = 0

    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    private var isAtEnd: Bool { position >= bytes.count }

    private mutating func byte() -> UInt8 {
        defer { position += 1 }
        return position < bytes.count ? bytes[position] : 0
    }

    private mutating func word() -> UInt16 { UInt16(byte()) | UInt16(byte()) << 8 }
    private mutating func long() -> UInt32 { UInt32(word()) | UInt32(word()) << 16 }

    /// An address that is often good: a page and an offset, or at the edges of memory and of the number range.
    private mutating func address(_ memory: GuestMemory) -> UInt64 {
        let kind = byte()
        let offset = UInt64(word())
        switch kind & 7 {
        case 0: return memory.totalBytes &- (offset & 0xff)
        case 1: return UInt64.max &- (offset & 0xff)
        case 2: return UInt64(long()) << 16 | offset
        default: return (UInt64(kind >> 3) << 12 &+ offset) % memory.totalBytes
        }
    }

    /// Runs the program against a device, which must live on a loop of the calling thread.
    public mutating func run(_ device: any VirtioDevice, memory: GuestMemory) throws(LinuxError) {
        let harness = try DeviceHarness(device, memory: memory)
        harness.start(features: UInt64(long()) << 8 | UInt64(byte()), queueSize: 1 << UInt16(byte() & 7))
        while !isAtEnd { step(harness) }
        harness.serve()
        harness.write(0x70, 0)
    }

    private mutating func step(_ harness: DeviceHarness) {
        let operation = byte()
        let queue = harness.drivers.isEmpty ? 0 : Int(operation >> 4) % harness.drivers.count
        switch operation & 15 {
        case 0: harness.write(UInt64(byte()) << 2, long())
        case 1: _ = harness.transport.read(offset: UInt64(word()), width: 1 << UInt32(byte() & 3))
        case 2:
            harness.transport.write(
                offset: UInt64(word()), width: 1 << UInt32(byte() & 3), value: UInt64(long()) << 32 | UInt64(long()))
        case 3: harness.notify(queue)
        case 4, 5, 6, 7: descriptor(harness, queue)
        case 8, 9: makeAvailable(harness, queue)
        case 10:
            let place = address(harness.memory)
            let count = Int(byte() & 31)
            var contents: [UInt8] = []
            for _ in 0..<count { contents.append(byte()) }
            try? harness.memory.write(contents, at: GuestAddress(place))
        case 11: if queue < harness.drivers.count { harness.drivers[queue].setAvailableIndex(word()) }
        case 12: if queue < harness.drivers.count { harness.drivers[queue].setUsedEvent(word()) }
        case 13: goodChain(harness, queue)
        case 14: harness.serve(rounds: 1)
        default: harness.start(queueSize: 1 << UInt16(byte() & 7))
        }
    }

    private mutating func descriptor(_ harness: DeviceHarness, _ queue: Int) {
        guard queue < harness.drivers.count else { return }
        let driver = harness.drivers[queue]
        driver.setDescriptor(
            word() % driver.layout.size, address: address(harness.memory), lengthBytes: UInt32(word()),
            flags: UInt16(byte() & 7), next: UInt16(byte()) % (driver.layout.size &+ 1))
    }

    private mutating func makeAvailable(_ harness: DeviceHarness, _ queue: Int) {
        guard queue < harness.drivers.count else { return }
        let driver = harness.drivers[queue]
        let index =
            (try? harness.memory.load(UInt16.self, at: GuestAddress(driver.layout.availableRing.value + 2))) ?? 0
        driver.setAvailable(entry: index, head: word() % driver.layout.size)
        driver.setAvailableIndex(index &+ 1)
    }

    /// A chain as a good driver would make it, with contents from the program.
    private mutating func goodChain(_ harness: DeviceHarness, _ queue: Int) {
        guard queue < harness.drivers.count else { return }
        let shape = byte()
        var buffers: [MockBuffer] = []
        for _ in 0..<(shape & 3) {
            var contents: [UInt8] = []
            for _ in 0..<(byte() & 63) { contents.append(byte()) }
            buffers.append(.readable(contents))
        }
        for _ in 0..<(shape >> 2 & 3) { buffers.append(.writable(Int(word() & 0xfff))) }
        while harness.drivers[queue].takeUsed() != nil {}
        harness.drivers[queue].add(buffers, indirect: shape & 0x80 != 0)
    }
}

/// The fuzz targets of this wing, by name. What one does with its bytes never changes between runs.
public enum VirtioFuzzTargets {
    /// The queue alone: every byte of its rings is the fuzzer's, and changes while it is served.
    public static func queue(_ bytes: [UInt8]) {
        guard bytes.count >= 4, let memory = try? GuestMemory(totalBytes: 1 << 16) else { return }
        let features = UInt64(bytes[1] & 3) << 28
        let driver = MockDriver(
            memory: memory, base: 0, end: 1 << 16, size: 1 << UInt16(bytes[0] & 7), features: features)
        try? memory.write(Array(bytes.dropFirst(4).prefix(1 << 16)), at: GuestAddress(0))
        guard var queue = try? driver.makeQueue() else { return }
        var readable = IOVectorList(capacity: 64)
        var writable = IOVectorList(capacity: 64)
        // As many turns as a small queue could need, and some.
        for turn in 0..<256 as Range<UInt16> {
            do throws(QueueError) {
                guard let chain = try queue.nextChain() else {
                    if try !queue.enableAvailableBufferNotifications() { driver.setAvailableIndex(turn) }
                    continue
                }
                try chain.gather(in: memory, readable: &readable, writable: &writable)
                queue.addUsed(head: chain.head, writtenBytes: UInt32(truncatingIfNeeded: writable.totalBytes))
                if turn & 3 == 3 { _ = queue.publishUsed() }
            } catch { return }
        }
    }

    /// The transport's registers, with a device that does little.
    public static func transport(_ bytes: [UInt8]) { entropy(bytes) }

    public static func entropy(_ bytes: [UInt8]) {
        guard let loop = try? DeviceHarness.makeLoop(), let memory = try? GuestMemory(totalBytes: 1 << 20) else {
            return
        }
        var program = FuzzProgram(bytes)
        try? program.run(EntropyDevice(loop: loop), memory: memory)
    }

    /// A block device over a small disk; the disk's length must not change.
    public static func block(_ bytes: [UInt8]) {
        let diskBytes: UInt64 = 1 << 16
        guard let loop = try? DeviceHarness.makeLoop(), let memory = try? GuestMemory(totalBytes: 1 << 20),
            let disk = try? ScratchDisk(lengthBytes: diskBytes), let file = try? disk.open(),
            let backend = try? BlockBackend(file, isReadOnly: false, cache: .writeback)
        else { return }
        var program = FuzzProgram(bytes)
        let engine: BlockEngine = bytes.first == 0 ? .asynchronous : .synchronous
        try? program.run(BlockDevice(backend, serial: "fuzz", engine: engine, loop: loop), memory: memory)
        precondition((try? disk.open().sizeBytes()) == diskBytes, "a request changed the disk's length")
    }
}
