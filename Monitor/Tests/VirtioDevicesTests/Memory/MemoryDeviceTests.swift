import CLinux
import GuestMemory
import LinuxCalls
import Testing
import VirtioTestSupport

@testable import VirtioDevices

/// What the host's kernel was told of slots.
private final class Slots {
    var attached: Set<UInt32> = []
    var refused: UInt32?

    func switchSlot(_ number: UInt32, _ isPlugged: Bool) throws(LinuxError) {
        if isPlugged, number == refused { throw LinuxError(ENOMEM) }
        let isChange = isPlugged ? attached.insert(number).inserted : attached.remove(number) != nil
        #expect(isChange)
    }
}

@Suite struct MemoryDeviceTests {
    private static let block: UInt64 = 2 << 20
    private static let acknowledged: UInt8 = 0
    private static let refused: UInt8 = 1
    private static let busy: UInt8 = 2
    private static let invalid: UInt8 = 3

    private let memory: GuestMemory
    private let attachment: MemoryAttachment
    private let device: MemoryDevice
    private let harness: DeviceHarness
    private let slots = Slots()

    init() throws {
        memory = try GuestMemory(totalBytes: 1 << 20)
        attachment = try memory.attachPluggable(lengthBytes: 512 << 20, blockBytes: Self.block)
        device = MemoryDevice(
            attachment, slotBytes: 128 << 20, loop: try DeviceHarness.makeLoop(), switchSlot: slots.switchSlot)
        harness = try DeviceHarness(device, memory: memory)
        #expect(harness.start())
    }

    private func bytes(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
    }

    /// The answer and the state that goes with it.
    private func ask(_ kind: UInt16, _ address: UInt64 = 0, _ count: UInt16 = 0) -> [UInt8] {
        ask(bytes(UInt64(kind), 8) + bytes(address, 8) + bytes(UInt64(count), 8))
    }

    private func ask(_ request: [UInt8], room: Int = 10) -> [UInt8] {
        harness.drivers[0].add([.readable(request), .writable(room)])
        harness.notify()
        guard let (used, contents) = harness.drivers[0].takeUsedWithContents() else { return [] }
        return used.writtenBytes == 10 ? [contents[0], contents[8]] : []
    }

    private func plug(_ block: UInt64, _ count: UInt16 = 1) -> UInt8? { ask(0, place(block), count).first }
    private func unplug(_ block: UInt64, _ count: UInt16 = 1) -> UInt8? { ask(1, place(block), count).first }
    private func place(_ block: UInt64) -> UInt64 { attachment.start.value + block * Self.block }

    @Test func `it conforms`() throws {
        let conformance = DeviceConformance {
            let attachment = try GuestMemory(totalBytes: 1 << 20).attachPluggable(
                lengthBytes: 256 << 20, blockBytes: Self.block)
            return MemoryDevice(
                attachment, slotBytes: 128 << 20, loop: try DeviceHarness.makeLoop(),
                switchSlot: { _, _ throws(LinuxError) in })
        }
        #expect(try conformance.run() == [])
    }

    @Test func `the driver reads where it is and how much is wanted`() {
        #expect(attachment.start.value == 4 << 30)
        _ = harness.takeInterrupt()
        #expect(device.request(bytes: 6 << 20))
        #expect(harness.read(0x60) & 2 != 0)
        for (offset, wanted) in [
            (0, 2 << 20), (8, 0), (16, 4 << 30), (24, 512 << 20), (32, 512 << 20), (40, 0), (48, 6 << 20),
        ]
            as [(UInt64, UInt64)]
        {
            #expect(harness.transport.read(offset: 0x100 + offset, width: 8) == wanted)
        }
        #expect(!device.request(bytes: 1 << 20))
        #expect(!device.request(bytes: 514 << 20))
        #expect(device.requested == 6 << 20)
    }

    @Test func `only plugged blocks are memory, and only their slots are the processors'`() {
        #expect(device.request(bytes: 8 << 20))
        #expect(!memory.contains(attachment.start, lengthBytes: 1))
        #expect(plug(0, 2) == Self.acknowledged)
        #expect(slots.attached == [0])
        #expect(memory.contains(attachment.start, lengthBytes: 4 << 20))
        #expect(!memory.contains(attachment.start, lengthBytes: 4 << 20 + 1))
        // Across two slots.
        #expect(plug(63, 2) == Self.acknowledged)
        #expect(slots.attached == [0, 1])
        #expect(memory.contains(GuestAddress(place(63)), lengthBytes: 4 << 20))
        #expect(!memory.contains(GuestAddress(place(62)), lengthBytes: 4 << 20))
        #expect(device.pluggedBytes == 8 << 20)
        #expect(unplug(64) == Self.acknowledged)
        #expect(slots.attached == [0])
        #expect(unplug(63) == Self.acknowledged)
        #expect(slots.attached == [0])
        #expect(unplug(0, 2) == Self.acknowledged)
        #expect(slots.attached == [])
        #expect(device.pluggedBytes == 0)
        #expect(!memory.contains(attachment.start, lengthBytes: 1))
    }

    @Test func `what was unplugged comes back as zeros`() throws {
        #expect(device.request(bytes: 4 << 20))
        #expect(plug(5, 2) == Self.acknowledged)
        try memory.store(UInt64(7), at: GuestAddress(place(5)))
        try memory.store(UInt64(7), at: GuestAddress(place(6)))
        #expect(unplug(5) == Self.acknowledged)
        #expect(throws: GuestMemoryError.self) { try memory.store(UInt64(7), at: GuestAddress(place(5))) }
        #expect(plug(5) == Self.acknowledged)
        #expect(try memory.load(UInt64.self, at: GuestAddress(place(5))) == 0)
        #expect(try memory.load(UInt64.self, at: GuestAddress(place(6))) == 7)
    }

    @Test func `no more is plugged than is wanted`() {
        #expect(plug(0) == Self.refused)
        #expect(device.request(bytes: 4 << 20))
        #expect(plug(0, 3) == Self.refused)
        #expect(plug(0, 2) == Self.acknowledged)
        #expect(plug(2) == Self.refused)
        #expect(device.request(bytes: 0))
        #expect(plug(2) == Self.refused)
        #expect(unplug(0) == Self.acknowledged)
        #expect(plug(0) == Self.refused)
        #expect(device.metrics.plugFailures.value == 5)
    }

    @Test func `requests that make no sense change nothing`() {
        #expect(device.request(bytes: 512 << 20))
        #expect(plug(10, 2) == Self.acknowledged)
        let start = attachment.start.value
        let ranges: [(UInt64, UInt16)] = [
            (start + 1, 1), (start + 4096, 1), (start - Self.block, 1), (start - Self.block, 2), (0, 1), (start, 0),
            (start, 257), (start, .max), (start + 512 << 20, 1), (place(255), 2), (.max, 1),
            (.max - Self.block + 1, 1), (.max - Self.block + 1, .max), (1 << 63, 1),
        ]
        for (address, count) in ranges {
            for kind in [0, 1, 3] as [UInt16] {
                #expect(ask(kind, address, count) == [Self.invalid, 0], "\(kind) \(address) \(count)")
            }
        }
        for (block, count) in [(10, 1), (11, 1), (9, 2), (11, 2), (8, 8), (0, 256)] as [(UInt64, UInt16)] {
            #expect(plug(block, count) == Self.invalid)
        }
        for (block, count) in [(9, 1), (12, 1), (9, 2), (11, 2), (8, 8), (0, 256)] as [(UInt64, UInt16)] {
            #expect(unplug(block, count) == Self.invalid)
        }
        for kind in [4, 5, 0xffff] as [UInt16] { #expect(ask(kind, place(0), 1) == [Self.invalid, 0]) }
        let whole = bytes(0, 8) + bytes(place(0), 8) + bytes(1, 8)
        for count in 0..<24 { #expect(ask(Array(whole.prefix(count))) == [Self.invalid, 0]) }
        for room in 0..<10 { #expect(ask(whole, room: room) == []) }
        #expect(device.pluggedBytes == 4 << 20)
        #expect(slots.attached == [0])
        #expect(harness.status == 0xf)
    }

    @Test func `a host that is out of slots is asked again`() {
        #expect(device.request(bytes: 512 << 20))
        slots.refused = 2
        // Blocks of the slots 0 to 2: those that were there already are taken away again.
        #expect(plug(60, 100) == Self.busy)
        #expect(slots.attached == [])
        #expect(device.pluggedBytes == 0)
        #expect(attachment.areBlocks(0, 256, plugged: false))
        #expect(device.metrics.hostErrors.value == 1)
        slots.refused = nil
        #expect(plug(60, 100) == Self.acknowledged)
        #expect(slots.attached == [0, 1, 2])
    }

    @Test func `the state of blocks is told, and all are unplugged at once`() {
        #expect(device.request(bytes: 512 << 20))
        #expect(plug(0, 4) == Self.acknowledged)
        #expect(plug(130) == Self.acknowledged)
        #expect(ask(3, place(0), 4) == [0, 0])
        #expect(ask(3, place(4), 60) == [0, 1])
        #expect(ask(3, place(3), 2) == [0, 2])
        #expect(ask(3, place(0), 256) == [0, 2])
        #expect(ask(2) == [0, 0])
        #expect(ask(3, place(0), 256) == [0, 1])
        #expect(slots.attached == [])
        #expect(device.pluggedBytes == 0)
        #expect(ask(2) == [0, 0])
    }

    @Test func `a driver that comes anew finds what is plugged`() {
        #expect(device.request(bytes: 4 << 20))
        #expect(plug(0, 2) == Self.acknowledged)
        #expect(harness.start())
        #expect(device.pluggedBytes == 4 << 20)
        #expect(ask(2) == [0, 0])
        #expect(device.pluggedBytes == 0)
    }

    /// A fresh device like this one, with what the saved one had plugged; false where it is refused.
    private func restored(_ own: [UInt64], blockBytes: UInt64 = block) throws -> (Bool, MemoryAttachment, Set<UInt32>) {
        let attachment = try memory.attachPluggable(lengthBytes: 512 << 20, blockBytes: blockBytes)
        let slots = Slots()
        let device = MemoryDevice(
            attachment, slotBytes: 128 << 20, loop: try DeviceHarness.makeLoop(), switchSlot: slots.switchSlot)
        // The place of the one in this machine.
        let shape = [attachment.start.value] + own.dropFirst(2)
        guard let figures = MemoryFigures([own[0]] + shape), try device.plugAgain(figures) else {
            return (false, attachment, slots.attached)
        }
        try device.restore(ownState: [own[0]] + shape)
        #expect(device.pluggedBytes == attachment.pluggedBytes && device.requested == own[0])
        return (true, attachment, slots.attached)
    }

    @Test func `what is plugged is told to a snapshot, and is so again in its clone`() throws {
        #expect(device.request(bytes: 512 << 20))
        harness.transport.pause()
        let shape: [UInt64] = [512 << 20, 4 << 30, 512 << 20, 2 << 20, 128 << 20]
        #expect(try harness.transport.save().own == shape)
        try harness.transport.resume()
        #expect(plug(1, 2) == Self.acknowledged)
        #expect(plug(191) == Self.acknowledged)
        harness.transport.pause()
        let own = try harness.transport.save().own
        let words: [UInt64] = [6, 0, 1 << 63, 0]
        #expect(own == shape + words)
        #expect(MemoryFigures(own)?.pluggedBytes == 6 << 20)
        let (isTaken, attachment, slots) = try restored(own)
        #expect(isTaken && slots == [0, 2])
        for block in 0..<256 as Range<UInt64> {
            let isPlugged = block == 1 || block == 2 || block == 191
            #expect(attachment.areBlocks(block, 1, plugged: true) == isPlugged)
        }
        for (block, first, count) in [(0, 1, 2), (2, 2, 1), (3, 191, 1)] as [(UInt64, UInt64, UInt64)] {
            let run = try #require(attachment.pluggedRun(from: block))
            #expect(run.first == first && run.count == count)
        }
        #expect(attachment.pluggedRun(from: 192) == nil)
    }

    @Test func `figures that no device has are refused`() throws {
        let right: [UInt64] = [4 << 20, 4 << 30, 512 << 20, 2 << 20, 128 << 20]
        let words: [UInt64] = [1, 0, 0, 1 << 63]
        #expect(MemoryFigures(right) != nil && MemoryFigures(right + words) != nil)
        // Too few words, too many, none set.
        let wrongs: [[UInt64]] = [[1], [1, 0, 0], words + [0], words + [1], [0, 0, 0, 0]]
        for wrong in wrongs { #expect(MemoryFigures(right + wrong) == nil) }
        for count in 0..<5 { #expect(MemoryFigures(Array(right.prefix(count))) == nil) }
        // Sizes that are no multiples, or no blocks, or more than there is.
        let values: [(Int, UInt64)] = [
            (0, 1), (0, 514 << 20), (2, 512 << 20 + 4096), (2, 1 << 40), (3, 0), (3, 3 << 20), (3, 2048), (3, .max),
        ]
        for (place, value) in values {
            var wrong = right
            wrong[place] = value
            #expect(MemoryFigures(wrong) == nil, "\(place) \(value)")
        }
        // A bit behind the last block: 10 blocks.
        let few: [UInt64] = [0, 4 << 30, 20 << 20, 2 << 20, 4 << 20]
        #expect(MemoryFigures(few + [0x3ff])?.pluggedBytes == 20 << 20)
        #expect(MemoryFigures(few + [0x400]) == nil)
        // Another device's.
        #expect(try !restored(right + words, blockBytes: 4 << 20).0)
        #expect(throws: DeviceStateError.malformed) { try device.restore(ownState: right + words) }
        #expect(throws: DeviceStateError.malformed) {
            try device.restore(ownState: [4 << 20, 8 << 30, 512 << 20, 2 << 20, 128 << 20])
        }
        #expect(throws: Never.self) { try device.restore(ownState: right) }
    }

    @Test func `whatever is asked, blocks, slots and sizes agree`() {
        var generator = SeededGenerator(seed: 24)
        var blocks: Set<UInt64> = []
        for _ in 0..<4000 {
            let kind = UInt16(generator.next() % 20)
            if kind == 19 { #expect(device.request(bytes: generator.next() % 257 * Self.block)) }
            let first = generator.next() % 260
            let count = UInt16(generator.next() % 40)
            let range = Set(first..<first + UInt64(count))
            let isInside = count > 0 && first + UInt64(count) <= 256
            let answer = ask(kind == 18 ? 2 : kind % 2, place(first), count).first
            switch kind {
            case 18: blocks = []
            case _ where kind % 2 == 0:
                let fits = UInt64(blocks.count + range.count) * Self.block <= device.requested
                let isRight = isInside && blocks.isDisjoint(with: range)
                #expect(answer == (!isRight ? Self.invalid : fits ? Self.acknowledged : Self.refused))
                if isRight, fits { blocks.formUnion(range) }
            default:
                let isRight = isInside && blocks.isSuperset(of: range)
                #expect(answer == (isRight ? Self.acknowledged : Self.invalid))
                if isRight { blocks.subtract(range) }
            }
            #expect(device.pluggedBytes == UInt64(blocks.count) * Self.block)
            #expect(slots.attached == Set(blocks.map { UInt32($0 / 64) }))
        }
        for block in 0..<256 as Range<UInt64> {
            #expect(memory.contains(GuestAddress(place(block)), lengthBytes: 4096) == blocks.contains(block))
        }
    }
}
