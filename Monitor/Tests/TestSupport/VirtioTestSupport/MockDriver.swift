public import GuestMemory
public import VirtioQueues

/// What a driver puts into one descriptor.
public enum MockBuffer: Equatable, Sendable {
    /// The device reads these bytes.
    case readable([UInt8])
    /// The device may write so many bytes.
    case writable(Int)
    /// A descriptor as it stands, whatever sense it makes.
    case raw(address: UInt64, lengthBytes: UInt32, isDeviceWritable: Bool)
}

/// A chain that the device gave back.
public struct MockUsedChain: Equatable, Sendable {
    public let head: UInt16
    public let writtenBytes: UInt32

    public init(head: UInt16, writtenBytes: UInt32) {
        self.head = head
        self.writtenBytes = writtenBytes
    }
}

/// The driver's side of one split queue, for tests: well-behaved by `add` and `takeUsed`, and as bad as one likes by the
/// members of `MockDriver+Raw.swift`.
public final class MockDriver {
    public let memory: GuestMemory
    public let layout: QueueLayout
    public let features: UInt64

    /// Free descriptors of the table.
    private var freeDescriptors: [UInt16]
    private var chains: [UInt16: Chain] = [:]
    private var availableIndex: UInt16 = 0
    private var usedIndex: UInt16 = 0
    private let bufferStart: UInt64
    private let bufferEnd: UInt64
    private var bufferNext: UInt64

    private struct Chain {
        var descriptors: [UInt16]
        var writable: [(address: GuestAddress, lengthBytes: Int)]
    }

    /// Lays the rings out from `base` and uses the rest, up to `end`, for buffers; reused round and round.
    public init(
        memory: GuestMemory, base: UInt64 = 0x1000, end: UInt64? = nil, size: UInt16 = 16,
        features: UInt64 = QueueFeatures.version1
    ) {
        self.memory = memory
        self.features = features
        let count = UInt64(size)
        func align(_ value: UInt64, _ step: UInt64) -> UInt64 { (value + step - 1) / step * step }
        let available = base + 16 * count
        let used = align(available + 6 + 2 * count, 4)
        layout = QueueLayout(
            size: size, descriptorTable: GuestAddress(base), availableRing: GuestAddress(available),
            usedRing: GuestAddress(used))
        bufferStart = align(used + 6 + 8 * count, 4096)
        bufferEnd = end ?? memory.totalBytes
        bufferNext = bufferStart
        freeDescriptors = (0..<size).reversed()
        try? memory.zero(GuestAddress(base), lengthBytes: bufferStart - base)
    }

    public var usesEventIndex: Bool { features & QueueFeatures.eventIndex != 0 }

    /// Descriptors that are not in use.
    public var freeCount: Int { freeDescriptors.count }

    /// A queue over these rings, as a device would make it.
    public func makeQueue(position: QueuePosition = QueuePosition()) throws(QueueError) -> SplitQueue {
        try SplitQueue(
            validating: layout, memory: memory, maximumSize: layout.size, acceptedFeatures: features,
            position: position)
    }

    /// Reserves room for a buffer.
    public func allocate(_ lengthBytes: Int) -> GuestAddress {
        let length = UInt64(max(lengthBytes, 1))
        if bufferNext + length > bufferEnd { bufferNext = bufferStart }
        defer { bufferNext += (length + 15) / 16 * 16 }
        return GuestAddress(bufferNext)
    }

    /// Makes a chain available; returns its head, or nil when descriptors are lacking.
    @discardableResult
    public func add(_ buffers: [MockBuffer], indirect: Bool = false) -> UInt16? {
        guard let head = place(buffers, indirect: indirect) else { return nil }
        setAvailable(entry: availableIndex, head: head)
        availableIndex &+= 1
        setAvailableIndex(availableIndex)
        return head
    }

    /// Writes a chain into the table without making it available.
    public func place(_ buffers: [MockBuffer], indirect: Bool = false) -> UInt16? {
        let needed = indirect ? 1 : buffers.count
        guard needed > 0, freeDescriptors.count >= needed else { return nil }
        let descriptors = (0..<needed).map { _ in freeDescriptors.removeLast() }
        var chain = Chain(descriptors: descriptors, writable: [])
        let indirectTable = indirect ? allocate(buffers.count * 16) : GuestAddress(0)
        for (index, buffer) in buffers.enumerated() {
            let raw = materialize(buffer, &chain)
            let isLast = index == buffers.count - 1
            let flags: UInt16 = (isLast ? 0 : 1) | (raw.isDeviceWritable ? 2 : 0)
            if indirect {
                writeDescriptor(
                    at: GuestAddress(indirectTable.value + 16 * UInt64(index)), raw.address, raw.lengthBytes, flags,
                    next: isLast ? 0 : UInt16(truncatingIfNeeded: index + 1))
            } else {
                setDescriptor(
                    descriptors[index], address: raw.address, lengthBytes: raw.lengthBytes, flags: flags,
                    next: isLast ? 0 : descriptors[index + 1])
            }
        }
        if indirect {
            setDescriptor(
                descriptors[0], address: indirectTable.value, lengthBytes: UInt32(buffers.count * 16), flags: 4,
                next: 0)
        }
        chains[descriptors[0]] = chain
        return descriptors[0]
    }

    private func materialize(
        _ buffer: MockBuffer, _ chain: inout Chain
    ) -> (address: UInt64, lengthBytes: UInt32, isDeviceWritable: Bool) {
        switch buffer {
        case .readable(let bytes):
            let address = allocate(bytes.count)
            try? memory.write(bytes, at: address)
            return (address.value, UInt32(bytes.count), false)
        case .writable(let count):
            let address = allocate(count)
            try? memory.zero(address, lengthBytes: UInt64(count))
            chain.writable.append((address, count))
            return (address.value, UInt32(count), true)
        case .raw(let address, let lengthBytes, let isDeviceWritable):
            return (address, lengthBytes, isDeviceWritable)
        }
    }

    /// What the device has put into the writable buffers of a chain in use.
    public func contents(head: UInt16) -> [UInt8] {
        (chains[head]?.writable ?? []).flatMap { (try? memory.bytes(at: $0.address, count: $0.lengthBytes)) ?? [] }
    }

    /// The next chain that the device gave back, its descriptors free again; nil when there is none.
    public func takeUsed() -> MockUsedChain? {
        guard let used = peekUsed() else { return nil }
        usedIndex &+= 1
        if let chain = chains.removeValue(forKey: used.head) {
            freeDescriptors.append(contentsOf: chain.descriptors.reversed())
        }
        return used
    }

    /// The next chain that the device gave back, left where it is.
    public func peekUsed() -> MockUsedChain? {
        guard usedIndex != publishedUsedIndex else { return nil }
        let entry = layout.usedRing.value + 4 + 8 * UInt64(usedIndex % layout.size)
        guard let head = try? memory.load(UInt32.self, at: GuestAddress(entry)),
            let written = try? memory.load(UInt32.self, at: GuestAddress(entry + 4))
        else { return nil }
        return MockUsedChain(head: UInt16(truncatingIfNeeded: head), writtenBytes: written)
    }

    /// Takes a used chain together with what its writable buffers hold.
    public func takeUsedWithContents() -> (used: MockUsedChain, contents: [UInt8])? {
        guard let used = peekUsed() else { return nil }
        let contents = contents(head: used.head)
        _ = takeUsed()
        return (used, contents)
    }

    /// Asks to be interrupted when the next chain is given back.
    public func wishInterrupt(afterChains count: UInt16 = 1) {
        if usesEventIndex { setUsedEvent(usedIndex &+ count &- 1) } else { setAvailableFlags(0) }
    }
}
