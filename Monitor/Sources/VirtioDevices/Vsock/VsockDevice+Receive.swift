import CLinux
import GuestMemory
import LinuxCalls
import VirtioQueues

/// From the host to the guest: the receive queue.
extension VsockDevice {
    /// The most packets or batches of one turn.
    private static let maximumTurns = 64
    /// The most bytes that one connection sends in its turn.
    private static let maximumBatchBytes: UInt64 = 64 << 10

    /// What came of a try to send to the guest.
    private enum Progress {
        case sent
        /// There was nothing to send after all.
        case nothing
        case noBuffers
    }

    /// Sends what is owed and what can be read, one connection after the other, for as long as the guest has buffers.
    func deliver() {
        guard !isBroken, service != nil else { return }
        if resets.isEmpty && connections.ready == nil { return }
        var turnsLeft = Self.maximumTurns
        do throws(QueueError) {
            while true {
                let progress: Progress
                if !resets.isEmpty {
                    progress = try sendReset()
                } else if let index = connections.ready {
                    progress = try serve(index)
                    // The connection may be gone; then it is out of the line too.
                    if progress != .noBuffers && connections.ready == index { connections.endTurn() }
                } else {
                    break
                }
                if progress == .noBuffers {
                    // The guest tells when it has put new ones in.
                    if try service?.receiveQueue.enableAvailableBufferNotifications() == true { continue }
                    break
                }
                turnsLeft &-= 1
                if turnsLeft == 0 {
                    service?.receiveDoorbell.event.signal()
                    break
                }
            }
        } catch { fail(error) }
        service?.publishReceived()
    }

    private func sendReset() throws(QueueError) -> Progress {
        let reset = resets.first
        var header = VsockHeader()
        header.sourceCID = reset.hostCID
        header.destinationCID = UInt64(guestCID)
        header.sourcePort = reset.hostPort
        header.destinationPort = reset.guestPort
        header.type = reset.type
        header.operationNumber = VsockOperation.reset.rawValue
        guard try sendControl(&header) else { return .noBuffers }
        resets.removeFirst()
        return .sent
    }

    /// The turn of one connection: the packet that it owes most urgently, or a batch of data.
    private func serve(_ index: Int) throws(QueueError) -> Progress {
        let debts = connections[index].debts
        if debts.contains(.request) { return try pay(index, .request, .request) }
        if debts.contains(.response) { return try pay(index, .response, .response) }
        if debts.contains(.creditUpdate) { return try pay(index, .creditUpdate, .creditUpdate) }
        if connections[index].mayRead {
            if connections[index].credit.sendableBytes > 0 { return try sendData(index) }
            if !connections[index].isCreditRequested {
                connections[index].isCreditRequested = true
                connections[index].debts.insert(.creditRequest)
            }
        }
        if connections[index].debts.contains(.creditRequest) {
            return try pay(index, .creditRequest, .creditRequest)
        }
        if debts.contains(.shutdown) {
            let progress = try pay(index, .shutdown, .shutdown)
            if progress == .sent && connections[index].hostShutdown == .both { awaitGuestReset(index) }
            return progress
        }
        return .nothing
    }

    /// Sends one control packet of a connection.
    private func pay(
        _ index: Int, _ debt: VsockDebts, _ operation: VsockOperation
    ) throws(QueueError) -> Progress {
        var header = header(index, operation)
        if operation == .shutdown { header.flags = connections[index].hostShutdown.rawValue }
        guard try sendControl(&header) else { return .noBuffers }
        connections[index].debts.remove(debt)
        noteTold(index)
        return .sent
    }

    @inline(__always)
    private func header(_ index: Int, _ operation: VsockOperation) -> VsockHeader {
        var header = VsockHeader()
        header.sourceCID = Self.hostCID
        header.destinationCID = UInt64(guestCID)
        header.sourcePort = connections[index].hostPort
        header.destinationPort = connections[index].guestPort
        header.operationNumber = operation.rawValue
        header.bufferBytes = connections[index].credit.bufferBytes
        header.forwardedBytes = connections[index].credit.forwardedBytes
        return header
    }

    /// Every packet tells the guest our credit.
    @inline(__always)
    private func noteTold(_ index: Int) {
        connections[index].credit.tell()
        connections[index].debts.remove(.creditUpdate)
    }

    /// - Returns: false when the guest has no buffer.
    private func sendControl(_ header: inout VsockHeader) throws(QueueError) -> Bool {
        while let chain = try service?.receiveQueue.nextChain() {
            if try service?.write(&header, to: chain) == true {
                service?.receiveQueue.addUsed(head: chain.head, writtenBytes: UInt32(VsockHeader.sizeBytes))
                metrics.packetsToGuest.add()
                return true
            }
            metrics.malformedPackets.add()
            service?.receiveQueue.addUsed(head: chain.head, writtenBytes: 0)
        }
        return false
    }

    /// Reads the socket into as many receive buffers as credit and fairness allow, by one call.
    private func sendData(_ index: Int) throws(QueueError) -> Progress {
        let limit = min(UInt64(connections[index].credit.sendableBytes), Self.maximumBatchBytes)
        guard try gatherReceiveBuffers(limit) else { return .noBuffers }
        let socket = connections[index].socketNumber
        let count: Int
        do throws(LinuxError) {
            // SAFETY: the vectors are checked ranges of guest memory.
            count = unsafe try vectors.withVectors { pieces throws(LinuxError) in
                unsafe try VectoredIO.read(socket, pieces)
            }
        } catch {
            service?.receiveQueue.putBack(chains: UInt16(batch.count))
            connections[index].isReadable = false
            if error.number != EAGAIN { hostEnded(index, isHungUp: true) }
            return .nothing
        }
        guard count > 0 else {
            service?.receiveQueue.putBack(chains: UInt16(batch.count))
            hostEnded(index, isHungUp: connections[index].isHungUp)
            return .nothing
        }
        metrics.bytesToGuest.add(UInt64(count))
        connections[index].credit.send(UInt32(truncatingIfNeeded: count))
        var left = UInt32(truncatingIfNeeded: count)
        var header = header(index, .readWrite)
        noteTold(index)
        var position = 0
        while left > 0, let entry = batch.entry(position) {
            let part = min(left, entry.roomBytes)
            left &-= part
            header.lengthBytes = part
            _ = try service?.write(&header, to: entry.chain)
            service?.receiveQueue.addUsed(
                head: entry.chain.head, writtenBytes: UInt32(VsockHeader.sizeBytes) &+ part)
            metrics.packetsToGuest.add()
            position &+= 1
        }
        if position < batch.count { service?.receiveQueue.putBack(chains: UInt16(batch.count &- position)) }
        return .sent
    }

    /// Takes receive buffers until `limit` bytes of payload fit; false when there is none at all.
    private func gatherReceiveBuffers(_ limit: UInt64) throws(QueueError) -> Bool {
        vectors.removeAll()
        batch.removeAll()
        while vectors.totalBytes < limit, !batch.isFull, vectors.count < vectors.capacity / 2,
            let chain = try service?.receiveQueue.nextChain()
        {
            guard let room = try service?.appendPayloadRoom(of: chain, to: &vectors), room > 0 else {
                // Of no use for data. The chains before it are given back first, so that the order stays.
                if batch.count > 0 {
                    service?.receiveQueue.putBack()
                    break
                }
                metrics.malformedPackets.add()
                service?.receiveQueue.addUsed(head: chain.head, writtenBytes: 0)
                continue
            }
            batch.append(chain, roomBytes: room)
        }
        vectors.truncate(toBytes: limit)
        return batch.count > 0
    }
}

extension VsockDevice.Service {
    /// Writes a packet's header into the first bytes of a chain; whether all of it had room.
    mutating func write(_ header: inout VsockHeader, to chain: DescriptorChain) throws(QueueError) -> Bool {
        try chain.write(&header, in: memory)
    }

    /// Appends what lies behind a chain's header to `vectors`: how many bytes that is, or nil when not even the header fits.
    mutating func appendPayloadRoom(
        of chain: DescriptorChain, to vectors: inout IOVectorList
    ) throws(QueueError) -> UInt32? {
        try chain.appendPayloadRoom(in: memory, headerBytes: VsockHeader.sizeBytes, to: &vectors)
    }

    /// Shows the driver what it received.
    mutating func publishReceived() { if receiveQueue.publishUsed() { interrupt.signalUsedBuffers() } }
}
