import CLinux
import GuestMemory
import LinuxCalls
import VirtioQueues

/// The two ways to the file: a call that returns when it is done, or a request in the ring and its completion.
extension BlockWorker {
    /// Does or begins a validated request, whose data the lists hold.
    mutating func execute(_ request: BlockRequest, _ backend: borrowing BlockBackend) {
        if isForRing(request.operation), prepare(request, backend) { return }
        do throws(LinuxError) {
            try perform(request, backend)
            finish(request, nil, backend)
        } catch {
            finish(request, error, backend)
        }
    }

    private func isForRing(_ operation: BlockOperation) -> Bool {
        switch operation {
        case .write: sendsWritesToRing
        // To be on the disk when it is answered it takes two calls.
        case .writeZeroes: writeFlags == 0
        default: true
        }
    }

    /// Puts a request into the ring; false when there is no ring.
    private mutating func prepare(_ request: BlockRequest, _ backend: borrowing BlockBackend) -> Bool {
        if ring == nil || freeSlots == 0 { return false }
        let slot = freeSlots.trailingZeroBitCount
        let source = backend.files.place(at: request.offset &+ request.doneBytes)
        var address: UInt64 = 0
        var length: UInt32 = 0
        var flags: UInt32 = 0
        let operation: IORingOperation
        switch request.operation {
        case .read:
            if !place(isRead: true, atMost: source.followingBytes, &address, &length) { return false }
            operation = writable.count == 1 ? .read : .readVectors
        case .write:
            if !place(isRead: false, atMost: source.followingBytes, &address, &length) { return false }
            operation = readable.count == 1 ? .write : .writeVectors
            flags = writeFlags
        case .flush:
            operation = .synchronize
            flags = 1  // IORING_FSYNC_DATASYNC
        default:
            operation = .allocate
            address = request.lengthBytes
            length = UInt32(bitPattern: request.mode)
        }
        // SAFETY: the data lies in guest memory, which stays mapped; the vectors in the arena, which is emptied only
        // when the kernel has taken every request.
        let isPrepared = unsafe ring?.prepare(
            operation, descriptor: source.descriptor, offset: request.operation == .flush ? 0 : source.offset,
            address: address, length: length, flags: flags, token: UInt64(slot))
        guard isPrepared == true else { return false }
        slots[slot] = request
        freeSlots &= freeSlots &- 1
        return true
    }

    /// Where the kernel finds a request's data: the bytes themselves when they are one run, else vectors in the arena.
    /// `limit` is how much of it lies in the file that is asked.
    private mutating func place(
        isRead: Bool, atMost limit: UInt64, _ address: inout UInt64, _ length: inout UInt32
    ) -> Bool {
        let single = isRead ? writable.singleAddress : readable.singleAddress
        if let single {
            address = single
            let wanted = isRead ? writable.totalBytes : readable.totalBytes
            length = UInt32(truncatingIfNeeded: min(wanted, limit, 1 << 30))
            return true
        }
        let count = isRead ? writable.count : readable.count
        if !arena.hasRoom(for: count) { submit() }
        guard let placed = isRead ? arena.place(writable, atMost: limit) : arena.place(readable, atMost: limit) else {
            return false
        }
        address = placed.address
        length = UInt32(truncatingIfNeeded: placed.count)
        return true
    }

    /// Hands prepared requests to the kernel. What it does not take now is offered again at the next turn.
    mutating func submit() {
        guard let unsubmitted = ring?.unsubmitted, unsubmitted > 0 else { return }
        try? ring?.submit()
        if ring?.unsubmitted == 0 { arena.removeAll() }
    }

    /// Takes every completion that there is.
    mutating func takeCompletions(_ backend: borrowing BlockBackend) {
        while let completion = ring?.nextCompletion() {
            let slot = Int(truncatingIfNeeded: completion.token)
            guard slot < Self.slotCount, let request = slots[slot] else { continue }
            slots[slot] = nil
            freeSlots |= 1 << UInt64(slot)
            complete(request, completion.result, backend)
        }
    }

    /// Judges what the kernel says of a request. A part that is left over is done here and now, or, when a further file
    /// has it, put into the ring.
    private mutating func complete(_ request: BlockRequest, _ result: Int32, _ backend: borrowing BlockBackend) {
        let isTransfer = request.operation == .read || request.operation == .write
        let doneBytes = request.doneBytes &+ UInt64(max(result, 0))
        if result >= 0, !isTransfer || doneBytes == request.lengthBytes { return finish(request, nil, backend) }
        let isWorthAnotherTry =
            result >= 0 || result == -EAGAIN || result == -EINTR
            || (request.operation == .writeZeroes && result == -EOPNOTSUPP)
        guard isWorthAnotherTry else { return finish(request, LinuxError(-result), backend) }
        do throws(LinuxError) {
            var rest = request
            rest.doneBytes = doneBytes
            if isTransfer { try gatherAgain(rest) }
            if result > 0, backend.files.count > 1, prepare(rest, backend) { return }
            try perform(rest, backend)
            finish(request, nil, backend)
        } catch {
            finish(request, error, backend)
        }
    }

    /// Collects a request's data anew, without what is done. The guest may have changed the descriptors meanwhile: then
    /// the request fails.
    private mutating func gatherAgain(_ request: BlockRequest) throws(LinuxError) {
        guard (try? gather(request.chain)) != nil else { throw LinuxError(EIO) }
        if request.operation == .read {
            guard writable.totalBytes == request.lengthBytes else { throw LinuxError(EIO) }
            writable.removeFirst(bytes: request.doneBytes)
        } else {
            readable.removeFirst(bytes: 16)
            guard readable.totalBytes == request.lengthBytes else { throw LinuxError(EIO) }
            readable.removeFirst(bytes: request.doneBytes)
        }
    }

    /// Does a request by system calls that return when it is done.
    private mutating func perform(
        _ request: BlockRequest, _ backend: borrowing BlockBackend
    ) throws(LinuxError) {
        switch request.operation {
        case .read: try backend.read(&writable, offset: request.offset &+ request.doneBytes)
        case .write: try backend.write(&readable, offset: request.offset &+ request.doneBytes, flags: writeFlags)
        case .flush: try backend.files.first.synchronizeData()
        case .discard:
            try backend.files.first.allocate(
                mode: request.mode, offset: request.offset, lengthBytes: request.lengthBytes)
        case .writeZeroes:
            try backend.writeZeroes(offset: request.offset, lengthBytes: request.lengthBytes, mode: request.mode)
            if writeFlags != 0 { try backend.files.first.synchronizeData() }
        case .identify: break
        }
    }

    /// Not for the path that requests usually take.
    @inline(never)
    private func tell(_ request: BlockRequest, _ error: LinuxError, _ backend: borrowing BlockBackend) {
        let offset = request.offset &+ request.doneBytes
        whenHostFails(error, backend.files.index(at: offset), offset)
    }

    /// Counts and answers a request that has been done, or has failed.
    private mutating func finish(
        _ request: BlockRequest, _ error: LinuxError?, _ backend: borrowing BlockBackend
    ) {
        if let error {
            if request.operation == .discard, error.number == EOPNOTSUPP {
                metrics.unsupportedRequests.add()
                return answer(request.chain.head, request.statusAddress, .unsupported)
            }
            metrics.hostErrors.add()
            if metrics.hostErrors.value == 1 { tell(request, error, backend) }
            return answer(request.chain.head, request.statusAddress, .ioError)
        }
        switch request.operation {
        case .read:
            metrics.reads.add()
            metrics.readBytes.add(request.lengthBytes)
        case .write:
            metrics.writes.add()
            metrics.writtenBytes.add(request.lengthBytes)
        case .flush: metrics.flushes.add()
        case .discard, .writeZeroes, .identify: metrics.rangeChanges.add()
        }
        let dataBytes = request.operation == .read ? request.lengthBytes : 0
        answer(request.chain.head, request.statusAddress, .ok, dataBytes: dataBytes)
    }
}
