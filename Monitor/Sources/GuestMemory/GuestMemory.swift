import CLinux
public import LinuxCalls

/// The guest's memory, and the one checked way to touch it.
///
/// The guest runs while we look, so nothing here hands out a view of live pages: bytes are copied in and then judged, or
/// the kernel is given I/O vectors. Every access is checked against the regions and throws on a bad range; none traps.
/// Safe to use from every thread: the regions never change, and the bytes belong to nobody.
@safe public final class GuestMemory: @unchecked Sendable {
    @usableFromInline let low: MemoryRegion
    @usableFromInline let high: MemoryRegion?
    private let lowMapping: Mapping
    private let highMapping: Mapping?
    private let file: FileDescriptor

    /// The memory's size, all regions together.
    public let totalBytes: UInt64

    /// Makes zeroed guest memory; pages are taken from the host as they are touched.
    /// - Throws: ENOMEM when the address space or the limits do not allow it; EINVAL for no bytes at all.
    public init(totalBytes: UInt64) throws(LinuxError) {
        let plan = GuestMemoryPlan(totalBytes: totalBytes)
        file = try memoryFile(name: "guest-memory", lengthBytes: totalBytes)
        lowMapping = try Mapping(
            sharing: file.number, lengthBytes: Int(plan.lowBytes), extraFlags: MAP_NORESERVE)
        // SAFETY: the regions live no longer than the mappings beside them.
        unsafe low = MemoryRegion(
            start: GuestAddress(0), lengthBytes: plan.lowBytes, hostBase: lowMapping.base, fileOffset: 0)
        if plan.highBytes > 0 {
            let mapping = try Mapping(
                sharing: file.number, lengthBytes: Int(plan.highBytes), offset: plan.lowBytes,
                extraFlags: MAP_NORESERVE)
            unsafe high = MemoryRegion(
                start: GuestAddress(GuestMemoryPlan.highMemoryStart), lengthBytes: plan.highBytes,
                hostBase: mapping.base, fileOffset: plan.lowBytes)
            highMapping = consume mapping
        } else {
            unsafe high = nil
            highMapping = nil
        }
        self.totalBytes = totalBytes
    }

    /// The regions in rising order, for the processors' memory slots.
    @unsafe public var regions: [MemoryRegion] {
        if let high = unsafe high { return unsafe [low, high] }
        return unsafe [low]
    }

    /// The file behind the memory (a memfd), for snapshots and other processes.
    public var fileNumber: Int32 { file.number }

    /// The host address of a range, when the whole of it lies in one region.
    @unsafe @inlinable @inline(__always)
    func host(_ address: GuestAddress, _ lengthBytes: UInt64) -> UnsafeMutableRawPointer? {
        // SAFETY: offset and length are checked against the region, without overflow.
        if unsafe address.value < low.lengthBytes {
            guard unsafe lengthBytes <= low.lengthBytes &- address.value else { return nil }
            return unsafe low.hostBase + Int(truncatingIfNeeded: address.value)
        }
        guard let high = unsafe high, unsafe address >= high.start else { return nil }
        let offset = unsafe address.value &- high.start.value
        guard unsafe offset < high.lengthBytes, unsafe lengthBytes <= high.lengthBytes &- offset else { return nil }
        return unsafe high.hostBase + Int(truncatingIfNeeded: offset)
    }

    /// As `host`, or the error that says why not.
    @unsafe @inlinable @inline(__always)
    func checkedHost(
        _ address: GuestAddress, _ lengthBytes: UInt64
    ) throws(GuestMemoryError) -> UnsafeMutableRawPointer {
        guard let pointer = unsafe host(address, lengthBytes) else {
            throw .outOfRange(address, lengthBytes: lengthBytes)
        }
        return unsafe pointer
    }

    /// Whether the whole range is memory of one region.
    @inlinable
    public func contains(_ address: GuestAddress, lengthBytes: UInt64) -> Bool {
        unsafe host(address, lengthBytes) != nil
    }
}
