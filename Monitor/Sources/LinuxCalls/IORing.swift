import CLinux
import Synchronization

/// What a ring is asked to do. Source: io_uring_enter(2).
public enum IORingOperation: UInt8, Sendable {
    case readVectors = 1
    case writeVectors = 2
    case synchronize = 3
    case allocate = 17
    case read = 22
    case write = 23
}

/// One request that a ring has finished.
public struct IORingCompletion: Sendable {
    /// The number given with the request.
    public let token: UInt64
    /// What the system call would have returned: a value, or minus an error number.
    public let result: Int32
}

/// An io_uring: requests to the kernel in a ring of shared memory, answers in another.
///
/// Belongs to one thread. Watch `descriptor` for `readable` to hear of completions.
/// Source: io_uring(7), io_uring_setup(2).
@safe public struct IORing: ~Copyable {
    public let descriptor: FileDescriptor
    /// How many requests may be prepared before `submit`.
    public let entries: UInt32

    private let rings: Mapping
    private let submissions: Mapping
    private let submissionHead: UnsafeMutablePointer<Atomic<UInt32>>
    private let submissionTail: UnsafeMutablePointer<Atomic<UInt32>>
    private let completionHead: UnsafeMutablePointer<Atomic<UInt32>>
    private let completionTail: UnsafeMutablePointer<Atomic<UInt32>>
    private let completionEntries: UnsafeMutableRawPointer
    private let completionMask: UInt32
    private var preparedTail: UInt32
    private var submittedTail: UInt32

    /// What the ring needs from the kernel: one mapping for both rings, no lost completions, requests copied at submission.
    private static let requiredFeatures = UInt32(1 << 0 | 1 << 1 | 1 << 2)
    private static let cooperativeTaskRun = UInt32(1 << 8)
    private static let startsDisabled = UInt32(1 << 6)
    private static let operations: [IORingOperation] = [
        .readVectors, .writeVectors, .synchronize, .allocate, .read, .write,
    ]

    /// Makes a ring for `entries` requests, a power of two.
    /// - Throws: ENOSYS, EPERM or ENOMEM where io_uring is missing or not allowed; EINVAL or ENOTSUP where the kernel is too old.
    public init(entries: UInt32) throws(LinuxError) {
        var parameters = io_uring_params()
        let descriptor = try Self.open(entries, &parameters)
        let ringBytes = max(
            Int(parameters.sq_off.array) + Int(parameters.sq_entries) * 4,
            Int(parameters.cq_off.cqes) + Int(parameters.cq_entries) * 16)
        let rings = try Mapping(sharing: descriptor.number, lengthBytes: ringBytes)
        let submissions = try Mapping(
            sharing: descriptor.number, lengthBytes: Int(parameters.sq_entries) * 64, offset: 0x1000_0000)
        self.entries = entries
        // SAFETY: the kernel gave these offsets for this mapping, which lives as long as the ring.
        let base = unsafe rings.base
        unsafe submissionHead = Self.word(base, parameters.sq_off.head)
        unsafe submissionTail = Self.word(base, parameters.sq_off.tail)
        unsafe completionHead = Self.word(base, parameters.cq_off.head)
        unsafe completionTail = Self.word(base, parameters.cq_off.tail)
        unsafe completionEntries = base + Int(parameters.cq_off.cqes)
        completionMask = parameters.cq_entries &- 1
        preparedTail = 0
        submittedTail = 0
        // Entry n of the submission ring is always request n.
        let order = unsafe (base + Int(parameters.sq_off.array)).assumingMemoryBound(to: UInt32.self)
        for index in 0..<entries { unsafe order[Int(index)] = index }
        self.rings = rings
        self.submissions = submissions
        self.descriptor = descriptor
    }

    private static func open(
        _ entries: UInt32, _ parameters: inout io_uring_params
    ) throws(LinuxError) -> FileDescriptor {
        parameters.flags = cooperativeTaskRun | startsDisabled
        do throws(LinuxError) {
            return try checked(try setUp(entries, &parameters), entries, parameters)
        } catch {
            guard error.number == EINVAL else { throw error }
        }
        parameters = io_uring_params()
        parameters.flags = startsDisabled
        return try checked(try setUp(entries, &parameters), entries, parameters)
    }

    /// The descriptor, when the kernel can do all that is needed.
    private static func checked(
        _ descriptor: consuming FileDescriptor, _ entries: UInt32, _ parameters: io_uring_params
    ) throws(LinuxError) -> FileDescriptor {
        guard parameters.features & requiredFeatures == requiredFeatures, parameters.sq_entries == entries,
            hasOperations(descriptor.number)
        else { throw LinuxError(EOPNOTSUPP) }
        try restrict(descriptor.number)
        return descriptor
    }

    /// Allows the used operations for good, and nothing else: no filter of system calls sees what is asked in a ring.
    /// Source: io_uring_register(2), IORING_REGISTER_RESTRICTIONS and IORING_REGISTER_ENABLE_RINGS.
    private static func restrict(_ descriptor: Int32) throws(LinuxError) {
        // struct io_uring_restriction: what kind in 16 bits (1 is an operation), the operation's number, zeroes to 16.
        var restrictions: [(UInt64, UInt64)] = []
        for operation in operations { restrictions.append((1 | UInt64(operation.rawValue) << 16, 0)) }
        // SAFETY: the kernel reads the array during the call.
        unsafe try restrictions.withUnsafeBufferPointer { buffer throws(LinuxError) in
            _ = unsafe try systemCall(
                __NR_io_uring_register, Int(descriptor), 11, Int(bitPattern: buffer.baseAddress), buffer.count)
        }
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_io_uring_register, Int(descriptor), 12, 0, 0)
    }

    private static func setUp(
        _ entries: UInt32, _ parameters: inout io_uring_params
    ) throws(LinuxError) -> FileDescriptor {
        // SAFETY: the kernel reads and fills the structure during the call.
        try unsafe withUnsafeMutablePointer(to: &parameters) { pointer throws(LinuxError) in
            FileDescriptor(
                owning: Int32(
                    truncatingIfNeeded: unsafe try systemCall(__NR_io_uring_setup, Int(entries), address(pointer))))
        }
    }

    @unsafe private static func word(
        _ base: UnsafeMutableRawPointer, _ offset: UInt32
    ) -> UnsafeMutablePointer<Atomic<UInt32>> {
        unsafe (base + Int(offset)).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    /// Whether the kernel knows every operation that is used. Source: io_uring_register(2), IORING_REGISTER_PROBE.
    private static func hasOperations(_ descriptor: Int32) -> Bool {
        // struct io_uring_probe: a header of 16 bytes, then 8 for each operation, flags at offset 2.
        let count = 24
        return unsafe withUnsafeTemporaryAllocation(byteCount: 16 + 8 * count, alignment: 8) { buffer in
            for index in buffer.indices { unsafe buffer[index] = 0 }
            // SAFETY: the kernel fills the buffer during the call; it has room for `count` operations.
            let result = linux_system_call(
                Int(__NR_io_uring_register), Int(descriptor), 8, Int(bitPattern: buffer.baseAddress), count, 0, 0)
            guard result == 0 else { return false }
            for operation in operations {
                if unsafe buffer[16 + 8 * Int(operation.rawValue) + 2] & 1 == 0 { return false }
            }
            return true
        }
    }

    /// Room for further requests before the next `submit`.
    public var freeEntries: UInt32 {
        // SAFETY: the word lies in the mapping.
        let head = unsafe submissionHead.pointee.load(ordering: .acquiring)
        return entries &- (preparedTail &- head)
    }

    /// Prepared requests that the kernel has not taken yet.
    public var unsubmitted: UInt32 { preparedTail &- submittedTail }

    /// Prepares a request; the kernel sees it at the next `submit`.
    ///
    /// - Parameters:
    ///   - address: of the bytes or vectors; for `allocate` the length of the range.
    ///   - length: bytes or vectors; for `allocate` the mode.
    /// - Returns: false when there is no free entry; nothing is prepared then.
    /// - Safety: vectors must stay until `submit` has taken the request, the bytes until it completes.
    @unsafe @inline(__always)
    public mutating func prepare(
        _ operation: IORingOperation, descriptor: Int32, offset: UInt64, address: UInt64, length: UInt32,
        flags: UInt32, token: UInt64
    ) -> Bool {
        if freeEntries == 0 { return false }
        let index = Int(preparedTail & (entries &- 1))
        // SAFETY: an entry of 64 bytes inside the mapping that the kernel has given back.
        let entry = unsafe submissions.base + index &* 64
        let first = UInt64(operation.rawValue) | UInt64(UInt32(bitPattern: descriptor)) << 32
        unsafe entry.storeBytes(of: first, as: UInt64.self)
        unsafe entry.storeBytes(of: offset, toByteOffset: 8, as: UInt64.self)
        unsafe entry.storeBytes(of: address, toByteOffset: 16, as: UInt64.self)
        unsafe entry.storeBytes(of: UInt64(length) | UInt64(flags) << 32, toByteOffset: 24, as: UInt64.self)
        unsafe entry.storeBytes(of: token, toByteOffset: 32, as: UInt64.self)
        unsafe entry.storeBytes(of: 0, toByteOffset: 40, as: UInt64.self)
        unsafe entry.storeBytes(of: 0, toByteOffset: 48, as: UInt64.self)
        unsafe entry.storeBytes(of: 0, toByteOffset: 56, as: UInt64.self)
        preparedTail &+= 1
        return true
    }

    /// Hands all prepared requests to the kernel, and waits until at least `minimumCompletions` are finished.
    ///
    /// - Throws: EAGAIN or EBUSY when the kernel cannot take them now; take completions and try again.
    public mutating func submit(minimumCompletions: UInt32 = 0) throws(LinuxError) {
        // SAFETY: the word lies in the mapping; the requests before the new tail are complete.
        unsafe submissionTail.pointee.store(preparedTail, ordering: .releasing)
        let getEvents = minimumCompletions > 0 ? 1 : 0
        // SAFETY: the addresses in the requests are their preparer's word.
        let taken = unsafe try systemCallRestarting(
            __NR_io_uring_enter, Int(descriptor.number), Int(unsubmitted), Int(minimumCompletions), getEvents, 0, 0)
        submittedTail &+= UInt32(truncatingIfNeeded: taken)
    }

    /// Takes the next completion, or nil when there is none.
    @inline(__always)
    public mutating func nextCompletion() -> IORingCompletion? {
        // SAFETY: the words lie in the mapping; the index is masked to the ring.
        let head = unsafe completionHead.pointee.load(ordering: .relaxed)
        if unsafe head == completionTail.pointee.load(ordering: .acquiring) { return nil }
        let entry = unsafe completionEntries + Int(head & completionMask) &* 16
        let completion = unsafe IORingCompletion(
            token: entry.load(as: UInt64.self), result: entry.load(fromByteOffset: 8, as: Int32.self))
        unsafe completionHead.pointee.store(head &+ 1, ordering: .releasing)
        return completion
    }
}
