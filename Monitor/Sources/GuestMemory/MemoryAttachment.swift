import CLinux
public import LinuxCalls
import Synchronization

/// Memory of the guest beside what it begins with: behind it in the guest's address space, not part of the memory's image.
///
/// Safe to use from every thread: the range never changes, and which of its blocks are there is atomic.
@safe public final class MemoryAttachment: @unchecked Sendable {
    public let start: GuestAddress
    public let lengthBytes: UInt64
    /// Whether the guest's processors may only read it. What devices write stays this process's own then.
    public let isReadOnly: Bool
    /// How much is plugged at a time; zero for what is always there.
    public let blockBytes: UInt64
    private let mapping: Mapping
    /// One bit for each block, set while it is plugged.
    private let plugged: UnsafeMutableBufferPointer<UInt64>

    /// Memory that is zeroed and, so far, not there: see `plug`.
    /// - Parameter blockBytes: a power of two, at least a page; `lengthBytes` is a multiple of it.
    init(pluggableAt start: GuestAddress, lengthBytes: UInt64, blockBytes: UInt64) throws(LinuxError) {
        self.start = start
        self.lengthBytes = lengthBytes
        self.blockBytes = blockBytes
        isReadOnly = false
        mapping = try Mapping(lazyBytes: Int(truncatingIfNeeded: lengthBytes))
        // SAFETY: freed in deinit.
        unsafe plugged = .allocate(capacity: Int(truncatingIfNeeded: lengthBytes / blockBytes / 64 &+ 1))
        unsafe plugged.initialize(repeating: 0)
    }

    /// The pages of a file, and zeros behind its end up to `lengthBytes`, which nobody keeps.
    init(
        file: borrowing FileDescriptor, fileBytes: UInt64, at start: GuestAddress, lengthBytes: UInt64,
        isReadOnly: Bool
    ) throws(LinuxError) {
        self.start = start
        self.lengthBytes = lengthBytes
        self.isReadOnly = isReadOnly
        blockBytes = 0
        unsafe plugged = .init(start: nil, count: 0)
        mapping = try Mapping(lazyBytes: Int(truncatingIfNeeded: lengthBytes))
        let flags = (isReadOnly ? MAP_PRIVATE : MAP_SHARED) | MAP_FIXED | MAP_NORESERVE
        // SAFETY: the range is wholly inside this object's own mapping, which is undone as a whole in the end.
        unsafe try systemCall(
            __NR_mmap, Int(bitPattern: mapping.base), Int(truncatingIfNeeded: fileBytes), Int(PROT_READ | PROT_WRITE),
            Int(flags), Int(file.number), 0)
    }

    deinit { unsafe plugged.deallocate() }

    /// Where it is mapped in this process, for the kernel's own use (memory slots).
    public var hostAddress: UInt64 { UInt64(UInt(bitPattern: unsafe mapping.base)) }

    /// The host address of a range, when the whole of it is there.
    @unsafe func host(_ address: GuestAddress, _ lengthBytes: UInt64) -> UnsafeMutableRawPointer? {
        guard address >= start else { return nil }
        let offset = address.value &- start.value
        guard offset < self.lengthBytes, lengthBytes <= self.lengthBytes &- offset else { return nil }
        if blockBytes > 0 {
            let first = offset / blockBytes
            let last = (offset &+ max(lengthBytes, 1) &- 1) / blockBytes
            guard areBlocks(first, last &- first &+ 1, plugged: true) else { return nil }
        }
        // SAFETY: offset and length are checked against the mapping.
        return unsafe mapping.base + Int(truncatingIfNeeded: offset)
    }

    // MARK: Blocks

    public var blockCount: UInt64 { blockBytes > 0 ? lengthBytes / blockBytes : 0 }

    /// Whether all of some blocks are plugged, or none of them. Beyond the end there is neither.
    public func areBlocks(_ first: UInt64, _ count: UInt64, plugged isPlugged: Bool) -> Bool {
        guard first < blockCount, count <= blockCount &- first else { return false }
        var block = first
        while block < first &+ count {
            let bit = block % 64
            // All blocks of a word at once.
            let wanted = min(64 &- bit, first &+ count &- block)
            let mask: UInt64 = (wanted == 64 ? UInt64.max : (1 << wanted) &- 1) << bit
            let word = unsafe self.word(block).pointee.load(ordering: .acquiring)
            if word & mask != (isPlugged ? mask : 0) { return false }
            block &+= wanted
        }
        return true
    }

    /// Has blocks there, or takes them away and gives their pages back to the host: plugged again they hold zeros.
    public func setBlocks(_ first: UInt64, _ count: UInt64, plugged isPlugged: Bool) {
        guard first < blockCount, count <= blockCount &- first else { return }
        for block in first..<first &+ count {
            let bit: UInt64 = 1 << (block % 64)
            if isPlugged {
                unsafe word(block).pointee.bitwiseOr(bit, ordering: .releasing)
            } else {
                unsafe word(block).pointee.bitwiseAnd(~bit, ordering: .acquiringAndReleasing)
            }
        }
        if !isPlugged { discard(blocks: first, count) }
    }

    /// How much is plugged.
    public var pluggedBytes: UInt64 {
        var count = 0
        for block in stride(from: 0, to: blockCount, by: 64) { count += pluggedWord(block).nonzeroBitCount }
        return UInt64(count) &* blockBytes
    }

    /// One bit for each block, set for those that are plugged; words without blocks behind the last are zero.
    public var pluggedWords: [UInt64] { stride(from: 0, to: blockCount, by: 64).map { pluggedWord($0) } }

    /// The next run of plugged blocks at or behind one.
    public func pluggedRun(from block: UInt64) -> (first: UInt64, count: UInt64)? {
        var first = block
        while first < blockCount, !areBlocks(first, 1, plugged: true) { first &+= 1 }
        guard first < blockCount else { return nil }
        var end = first &+ 1
        while areBlocks(end, 1, plugged: true) { end &+= 1 }
        return (first, end &- first)
    }

    private func pluggedWord(_ block: UInt64) -> UInt64 {
        unsafe word(block).pointee.load(ordering: .acquiring)
    }

    /// Gives the pages of blocks back to the host, which are to be unplugged ones.
    public func discard(blocks first: UInt64, _ count: UInt64) {
        guard first < blockCount, count <= blockCount &- first else { return }
        // SAFETY: the blocks lie in this object's own mapping.
        _ = unsafe linux_system_call(
            Int(__NR_madvise), Int(bitPattern: mapping.base + Int(truncatingIfNeeded: first &* blockBytes)),
            Int(truncatingIfNeeded: count &* blockBytes), Int(MADV_DONTNEED), 0, 0, 0)
    }

    @unsafe private func word(_ block: UInt64) -> UnsafeMutablePointer<Atomic<UInt64>> {
        // SAFETY: callers have checked the block; an atomic integer is laid out as the integer.
        unsafe UnsafeMutableRawPointer(plugged.baseAddress.unsafelyUnwrapped + Int(truncatingIfNeeded: block / 64))
            .assumingMemoryBound(to: Atomic<UInt64>.self)
    }
}

extension GuestMemory {
    /// Where attachments begin to be aligned: what Linux takes memory in at a time at most, on machines with little of it.
    public static let attachmentAlignment: UInt64 = 128 << 20

    /// Makes room behind all there is for memory that is plugged while the guest runs. Before any device serves.
    public func attachPluggable(
        lengthBytes: UInt64, blockBytes: UInt64
    ) throws(LinuxError) -> MemoryAttachment {
        let start = try freePlace(lengthBytes, alignment: max(blockBytes, 1 << 30))
        let attachment = try MemoryAttachment(pluggableAt: start, lengthBytes: lengthBytes, blockBytes: blockBytes)
        attachments.append(attachment)
        return attachment
    }

    /// Lays a file's pages behind all there is. Before any device serves.
    /// - Parameter fileBytes: how long the file is; it may not be shortened while the guest lives.
    public func attach(
        file: borrowing FileDescriptor, fileBytes: UInt64, isReadOnly: Bool
    ) throws(LinuxError) -> MemoryAttachment {
        guard fileBytes > 0 else { throw .invalidArgument }
        // What a guest maps at a time: 2 MiB.
        let lengthBytes = (fileBytes &+ 0x1f_ffff) & ~0x1f_ffff
        let start = try freePlace(lengthBytes, alignment: Self.attachmentAlignment)
        let attachment = try MemoryAttachment(
            file: file, fileBytes: fileBytes, at: start, lengthBytes: lengthBytes, isReadOnly: isReadOnly)
        attachments.append(attachment)
        return attachment
    }

    /// - Throws: ENOMEM when it would end beyond what the fewest address lines of a host reach.
    private func freePlace(_ lengthBytes: UInt64, alignment: UInt64) throws(LinuxError) -> GuestAddress {
        // SAFETY: only numbers are taken from the region.
        var end = unsafe high.map { unsafe $0.start.value &+ $0.lengthBytes } ?? GuestMemoryPlan.highMemoryStart
        for attachment in attachments { end = max(end, attachment.start.value &+ attachment.lengthBytes) }
        end = (end &+ alignment &- 1) & ~(alignment &- 1)
        guard lengthBytes <= 1 << 39, end <= 1 << 39 &- lengthBytes else { throw LinuxError(ENOMEM) }
        return GuestAddress(end)
    }

    /// Whether an address lies in a file's pages, which are not memory to be given back.
    func isInFile(_ address: GuestAddress) -> Bool {
        attachments.contains { attachment in
            attachment.blockBytes == 0 && address >= attachment.start
                && address.value &- attachment.start.value < attachment.lengthBytes
        }
    }
}
