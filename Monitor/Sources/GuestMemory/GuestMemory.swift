import CLinux
public import LinuxCalls

/// The guest's memory, and the one checked way to touch it.
///
/// The guest runs while we look, so nothing here hands out a view of live pages: bytes are copied in and then judged, or
/// the kernel is given I/O vectors. Every access is checked against the regions and throws on a bad range; none traps.
/// Safe to use from every thread: regions and attachments never change once devices serve, and the bytes belong to nobody.
@safe public final class GuestMemory: @unchecked Sendable {
    @usableFromInline let low: MemoryRegion
    let high: MemoryRegion?
    private let lowMapping: Mapping
    private let highMapping: Mapping?
    let file: FileDescriptor
    /// What was laid over the file's pages before the guest ran (`map`).
    var privateRanges: [GuestRange] = []
    /// What the guest has besides, in rising order; see `MemoryAttachment`.
    public internal(set) var attachments: [MemoryAttachment] = []
    /// Changed only while the guest stands still.
    public internal(set) var backing: Backing

    let discardLock = FutexLock()
    /// What was given back since `noteDiscards`; nil when nobody wants to know.
    var discarded: PageRuns?
    /// Whether nothing is given back, for it is kept as it was; see `beginKeeping`.
    var isKept = false
    /// Of huge pages that this process puts in their places: which were put there once, or were given back.
    var known: [UInt64] = []

    private let pageServer: FileDescriptor?
    /// The descriptor for who puts pages in their places, when that is not the kernel.
    public let pageServerNumber: Int32?
    var server: Server

    /// Who puts pages in their places.
    enum Server { case kernel, otherProcess, thisProcess }

    /// What the file behind the memory is to it.
    public enum Backing: Sendable {
        /// All that is written goes there.
        case shared
        /// It keeps what memory was at one instant (`freeze`); nobody else has it.
        case frozen
        /// It is what memory began as, and others may use it too.
        case image
    }

    /// Whether its pages are of 2 MiB and of the host's pool; all of them are taken when it is made.
    public let hasHugePages: Bool

    /// The memory's size, all regions together; attachments are not counted.
    public let totalBytes: UInt64

    /// Makes zeroed guest memory; pages are taken from the host as they are touched.
    /// - Parameter hasHugePages: see there; `totalBytes` is a multiple of their size then.
    /// - Throws: ENOMEM when the address space, the limits or the pool do not allow it; EINVAL for no bytes at all, or
    ///   a host without such pages.
    public convenience init(totalBytes: UInt64, hasHugePages: Bool = false) throws(LinuxError) {
        let file = try memoryFile(
            name: "guest-memory", lengthBytes: totalBytes, hasHugePages: hasHugePages, isSealed: true)
        try self.init(totalBytes: totalBytes, file: file, backing: .shared, hasHugePages: hasHugePages)
    }

    /// Makes guest memory that holds what a file holds: page by page as the guest touches them, shared with all other
    /// guests of the same file until it writes. The file is never changed.
    /// - Parameter image: at least `totalBytes` long and never shortened while the guest lives.
    /// - Throws: EINVAL for a file that is too short.
    public convenience init(totalBytes: UInt64, image: consuming FileDescriptor) throws(LinuxError) {
        guard try fileSizeBytes(image.number) >= totalBytes else { throw LinuxError(EINVAL) }
        try self.init(totalBytes: totalBytes, file: image, backing: .image)
    }

    /// Makes guest memory whose pages another process puts there when they are touched; see `servedRegions`.
    /// - Throws: what `UserFault.make` throws, and what memory of huge pages does.
    public convenience init(servedBytes totalBytes: UInt64, hasHugePages: Bool = false) throws(LinuxError) {
        try self.init(totalBytes: totalBytes, server: .otherProcess, hasHugePages)
    }

    /// Makes guest memory whose pages this process puts there when they are touched; see `placePage`, `placeHugePage`.
    /// - Throws: as `init(servedBytes:hasHugePages:)`.
    public convenience init(placedBytes totalBytes: UInt64, hasHugePages: Bool = false) throws(LinuxError) {
        try self.init(totalBytes: totalBytes, server: .thisProcess, hasHugePages)
        known = [UInt64](repeating: 0, count: Int((hugePageCount + 63) / 64))
    }

    private convenience init(totalBytes: UInt64, server: Server, _ hasHugePages: Bool) throws(LinuxError) {
        let file = try memoryFile(
            name: "guest-memory", lengthBytes: hasHugePages ? totalBytes : 0, hasHugePages: hasHugePages, isSealed: true
        )
        try self.init(
            totalBytes: totalBytes, file: file, backing: hasHugePages ? .shared : .image, server: server,
            hasHugePages: hasHugePages)
    }

    private init(
        totalBytes: UInt64, file: consuming FileDescriptor, backing: Backing, server: Server = .kernel,
        hasHugePages: Bool = false
    ) throws(LinuxError) {
        // mount(2) reads a page's length from wherever its text lies: with nobody there yet to serve pages it would wait for
        // ever for one of the guest's behind it, so a page of nobody's stands before them.
        // Huge pages have it in any case.
        let margin = server == .thisProcess && !hasHugePages ? Int(Self.pageBytes) : 0
        func mapping(_ number: Int32, _ lengthBytes: UInt64, _ offset: UInt64) throws(LinuxError) -> Mapping {
            if hasHugePages { return try Mapping(hugePagesOf: number, lengthBytes: Int(lengthBytes), offset: offset) }
            return server != .kernel
                ? try Mapping(sparseBytes: Int(lengthBytes) + margin)
                : backing == .image
                    ? try Mapping(privately: number, lengthBytes: Int(lengthBytes), offset: offset)
                    : try Mapping(
                        sharing: number, lengthBytes: Int(lengthBytes), offset: offset, extraFlags: MAP_NORESERVE)
        }
        let plan = GuestMemoryPlan(totalBytes: totalBytes)
        self.backing = backing
        self.hasHugePages = hasHugePages
        self.file = file
        lowMapping = try mapping(self.file.number, plan.lowBytes, 0)
        // SAFETY: the regions live no longer than the mappings beside them.
        unsafe low = MemoryRegion(
            start: GuestAddress(0), lengthBytes: plan.lowBytes, hostBase: lowMapping.start + margin, fileOffset: 0)
        if plan.highBytes > 0 {
            let mapping = try mapping(self.file.number, plan.highBytes, plan.lowBytes)
            unsafe high = MemoryRegion(
                start: GuestAddress(GuestMemoryPlan.highMemoryStart), lengthBytes: plan.highBytes,
                hostBase: mapping.start + margin, fileOffset: plan.lowBytes)
            highMapping = consume mapping
        } else {
            unsafe high = nil
            highMapping = nil
        }
        self.totalBytes = totalBytes
        self.server = server
        if server != .kernel {
            // Who is of this process knows himself what it gives back.
            let descriptor = try UserFault.make(server == .otherProcess ? UserFault.Feature.removals : 0)
            pageServerNumber = descriptor.number
            pageServer = consume descriptor
        } else {
            pageServerNumber = nil
            pageServer = nil
        }
        try beginServing()
    }

    /// The regions in rising order, for the processors' memory slots.
    @unsafe public var regions: [MemoryRegion] {
        if let high = unsafe high { return unsafe [low, high] }
        return unsafe [low]
    }

    /// The file behind the memory (a memfd), for snapshots and other processes.
    public var fileNumber: Int32 { file.number }

    /// The host address of a range, when the whole of it lies in one region or attachment.
    @unsafe func host(_ address: GuestAddress, _ lengthBytes: UInt64) -> UnsafeMutableRawPointer? {
        unsafe try? checkedHost(address, lengthBytes)
    }

    /// As `host`, or the error that says why not.
    @unsafe @inlinable @inline(__always)
    func checkedHost(
        _ address: GuestAddress, _ lengthBytes: UInt64
    ) throws(GuestMemoryError) -> UnsafeMutableRawPointer {
        // SAFETY: offset and length are checked against the region, without overflow.
        if unsafe address.value < low.lengthBytes, unsafe lengthBytes <= low.lengthBytes &- address.value {
            return unsafe low.hostBase + Int(truncatingIfNeeded: address.value)
        }
        return unsafe try hostBeyond(address, lengthBytes)
    }

    /// What is not in low memory: seldom asked for, or not memory at all.
    @unsafe @usableFromInline @inline(never)
    func hostBeyond(
        _ address: GuestAddress, _ lengthBytes: UInt64
    ) throws(GuestMemoryError) -> UnsafeMutableRawPointer {
        if let high = unsafe high, unsafe address >= high.start {
            let offset = unsafe address.value &- high.start.value
            if unsafe offset < high.lengthBytes, unsafe lengthBytes <= high.lengthBytes &- offset {
                return unsafe high.hostBase + Int(truncatingIfNeeded: offset)
            }
        }
        for attachment in attachments {
            if let pointer = unsafe attachment.host(address, lengthBytes) { return unsafe pointer }
        }
        throw .outOfRange(address, lengthBytes: lengthBytes)
    }

    /// Whether the whole range is memory of one region.
    public func contains(_ address: GuestAddress, lengthBytes: UInt64) -> Bool {
        unsafe host(address, lengthBytes) != nil
    }
}
