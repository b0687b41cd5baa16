import GuestMemory
import VirtioQueues

/// From a chain to a request, and from there to the file.
extension BlockWorker {
    /// Collects the chain's buffers into the two lists; returns where the status byte lies, taken off the list, or nil
    /// when there is no room for one.
    mutating func gather(_ source: DescriptorChain) throws(QueueError) -> GuestAddress? {
        var chain = source
        var statusAddress: GuestAddress?
        readable.removeAll()
        writable.removeAll()
        while let buffer = try chain.next(in: memory) {
            let length = UInt64(buffer.lengthBytes)
            do throws(GuestMemoryError) {
                if buffer.isDeviceWritable {
                    try writable.append(memory, buffer.address, lengthBytes: length)
                    if length > 0 { statusAddress = buffer.address.advanced(by: length &- 1) }
                } else {
                    try readable.append(memory, buffer.address, lengthBytes: length)
                }
            } catch { throw .memory(error) }
        }
        if writable.totalBytes > 0 { writable.truncate(toBytes: writable.totalBytes &- 1) }
        return statusAddress
    }

    /// Begins one request; what can be answered at once is.
    mutating func start(_ chain: DescriptorChain, _ backend: borrowing BlockBackend) throws(QueueError) {
        guard let statusAddress = try gather(chain) else {
            limiter.spend(bytes: 0)
            // Nowhere to say so, but the chain goes back.
            metrics.badRequests.add()
            queue.addUsed(head: chain.head, writtenBytes: 0)
            return
        }
        guard let header = BlockHeader(takingFrom: &readable) else {
            limiter.spend(bytes: 0)
            return refuse(chain, statusAddress)
        }
        // Data of either direction; the one that a request does not use is empty.
        limiter.spend(bytes: readable.totalBytes &+ writable.totalBytes)
        guard let operation = BlockOperation(rawValue: header.operation) else {
            metrics.unsupportedRequests.add()
            return answer(chain.head, statusAddress, .unsupported)
        }
        let length: UInt64
        switch operation {
        case .identify: return identify(chain, statusAddress)
        case .discard, .writeZeroes:
            return startRangeChange(chain, statusAddress, isDiscard: operation == .discard, backend)
        case .flush:
            if backend.cache == .unsafe || backend.isReadOnly { return answer(chain.head, statusAddress, .ok) }
            length = 0
        case .read: length = writable.totalBytes
        case .write:
            if backend.isReadOnly { return refuse(chain, statusAddress) }
            length = readable.totalBytes
        }
        if length == 0, operation != .flush { return answer(chain.head, statusAddress, .ok) }
        // A flush has no place; its sector field is reserved.
        let sector = operation == .flush ? 0 : header.sector
        guard let offset = byteOffset(sector: sector, lengthBytes: length, backend) else {
            return refuse(chain, statusAddress)
        }
        execute(
            BlockRequest(
                chain: chain, statusAddress: statusAddress, operation: operation, offset: offset, lengthBytes: length,
                mode: 0), backend)
    }

    /// Where a range begins in the file; nil unless it is whole sectors that all lie on the disk.
    private func byteOffset(sector: UInt64, lengthBytes: UInt64, _ backend: borrowing BlockBackend) -> UInt64? {
        let count = lengthBytes / BlockBackend.sectorBytes
        guard lengthBytes % BlockBackend.sectorBytes == 0, sector <= backend.capacitySectors,
            count <= backend.capacitySectors &- sector
        else { return nil }
        return sector &* BlockBackend.sectorBytes
    }

    /// VIRTIO_BLK_T_GET_ID: twenty bytes, padded with zeroes.
    private mutating func identify(_ chain: DescriptorChain, _ statusAddress: GuestAddress) {
        let count = writable.copyIn(serial.span)
        if count < serial.count { return refuse(chain, statusAddress) }
        answer(chain.head, statusAddress, .ok, dataBytes: UInt64(count))
    }

    private mutating func startRangeChange(
        _ chain: DescriptorChain, _ statusAddress: GuestAddress, isDiscard: Bool, _ backend: borrowing BlockBackend
    ) {
        let feature = isDiscard ? BlockFeatures.discard : BlockFeatures.writeZeroes
        guard acceptedFeatures & feature != 0 else {
            metrics.unsupportedRequests.add()
            return answer(chain.head, statusAddress, .unsupported)
        }
        guard let range = BlockRange(takingFrom: &readable), !backend.isReadOnly else {
            return refuse(chain, statusAddress)
        }
        // Only a write-zeroes may have a flag, "unmap". Source: virtio 1.3 §5.2.6.2.
        if range.flags & ~(isDiscard ? 0 : 1) != 0 {
            metrics.unsupportedRequests.add()
            return answer(chain.head, statusAddress, .unsupported)
        }
        let limit =
            isDiscard
            ? BlockConfigurationSpace.maximumDiscardSectors : BlockConfigurationSpace.maximumWriteZeroesSectors
        let length = UInt64(range.sectorCount) &* BlockBackend.sectorBytes
        guard UInt64(range.sectorCount) <= limit,
            let offset = byteOffset(sector: range.sector, lengthBytes: length, backend)
        else { return refuse(chain, statusAddress) }
        if length == 0 { return answer(chain.head, statusAddress, .ok) }
        let givesRoomBack = isDiscard || range.flags & 1 != 0
        execute(
            BlockRequest(
                chain: chain, statusAddress: statusAddress, operation: isDiscard ? .discard : .writeZeroes,
                offset: offset, lengthBytes: length,
                mode: givesRoomBack ? BlockBackend.punchHole : BlockBackend.zeroRange), backend)
    }

    /// A request that makes no sense: answered with an error, the file untouched.
    private mutating func refuse(_ chain: DescriptorChain, _ statusAddress: GuestAddress) {
        metrics.badRequests.add()
        answer(chain.head, statusAddress, .ioError)
    }
}
