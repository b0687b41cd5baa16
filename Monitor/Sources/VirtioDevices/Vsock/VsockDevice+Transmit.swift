import CLinux
import GuestMemory
import LinuxCalls
import VirtioQueues

/// From the guest to the host: the transmit queue.
extension VsockDevice {
    /// The most chains of one turn; other devices of the loop are to have theirs.
    private static let maximumChains = 64
    private static let maximumBytes: UInt64 = 1 << 20

    /// Serves what the guest has sent, then sends what that called for.
    func takeFromGuest() {
        guard !isBroken, resetWait == nil, service != nil else { return }
        var chainsLeft = Self.maximumChains
        var bytesLeft = Self.maximumBytes
        do throws(QueueError) {
            service?.transmitQueue.disableAvailableBufferNotifications()
            while true {
                guard chainsLeft > 0, bytesLeft > 0 else {
                    // The rest comes after everybody else's events.
                    service?.transmitDoorbell.event.signal()
                    break
                }
                guard let chain = try service?.transmitQueue.nextChain() else {
                    if try service?.transmitQueue.enableAvailableBufferNotifications() == true { continue }
                    break
                }
                try service?.gather(chain, into: &vectors)
                chainsLeft &-= 1
                bytesLeft -= min(bytesLeft, vectors.totalBytes)
                var header = VsockHeader()
                // SAFETY: the bytes are a copy; whatever they are, they are a header.
                let copied = unsafe header.withBytes { bytes in unsafe vectors.removeFirst(copyingInto: bytes) }
                metrics.packetsFromGuest.add()
                if copied == VsockHeader.sizeBytes { handlePacket(header) } else { metrics.malformedPackets.add() }
                service?.transmitQueue.addUsed(head: chain.head, writtenBytes: 0)
            }
        } catch { fail(error) }
        service?.publishTransmitted()
        deliver()
    }

    /// One packet; its payload lies in `vectors`.
    private func handlePacket(_ header: VsockHeader) {
        guard header.sourceCID == UInt64(guestCID) else { return metrics.wrongContexts.add() }
        guard header.destinationCID == Self.hostCID else {
            metrics.wrongContexts.add()
            return answerWithReset(header)
        }
        guard header.type == VsockHeader.streamType, let operation = VsockOperation(rawValue: header.operationNumber)
        else {
            metrics.malformedPackets.add()
            return answerWithReset(header)
        }
        guard let index = connections.find(hostPort: header.destinationPort, guestPort: header.sourcePort) else {
            if operation == .request { return connectToHost(header) }
            return answerWithReset(header)
        }
        connections[index].credit.learn(bufferBytes: header.bufferBytes, forwardedBytes: header.forwardedBytes)
        if connections[index].credit.sendableBytes > 0 { connections[index].isCreditRequested = false }
        switch operation {
        case .request:
            // It has forgotten the connection that we still know.
            metrics.malformedPackets.add()
            abort(index)
        case .response: guestAccepted(index)
        case .reset: guestReset(index)
        case .shutdown: guestShutDown(index, VsockShutdown(rawValue: header.flags & VsockShutdown.both.rawValue))
        case .readWrite: receive(index, header.lengthBytes)
        case .creditUpdate: connections.makeReady(index)
        case .creditRequest:
            connections[index].debts.insert(.creditUpdate)
            connections.makeReady(index)
        }
    }

    /// Bytes for the host program: straight to its socket, and what does not fit into the connection's buffer.
    private func receive(_ index: Int, _ lengthBytes: UInt32) {
        guard UInt64(lengthBytes) <= vectors.totalBytes else {
            metrics.malformedPackets.add()
            return abort(index)
        }
        switch connections[index].phase {
        case .established: break
        case .closing: return
        case .handshake, .requested, .lingering:
            metrics.malformedPackets.add()
            return abort(index)
        }
        guard !connections[index].guestShutdown.contains(.send) else {
            metrics.malformedPackets.add()
            return abort(index)
        }
        guard connections[index].credit.receive(lengthBytes) else {
            metrics.creditViolations.add()
            return abort(index)
        }
        vectors.truncate(toBytes: UInt64(lengthBytes))
        if connections[index].hostShutdown.contains(.receive) {
            // Nobody reads it any more; the guest has been told.
            connections[index].credit.forward(lengthBytes)
            return noteForwarded(index)
        }
        if connections[index].waiting.isEmpty && lengthBytes > 0 {
            let socket = connections[index].socketNumber
            do throws(LinuxError) {
                // SAFETY: the vectors are checked ranges of guest memory.
                let sent = unsafe try vectors.withVectors { pieces throws(LinuxError) in
                    unsafe try StreamSocket.send(socket, pieces)
                }
                connections[index].credit.forward(UInt32(truncatingIfNeeded: sent))
                metrics.bytesToHost.add(UInt64(sent))
                vectors.removeFirst(bytes: UInt64(sent))
            } catch {
                if error.number != EAGAIN { return hostStoppedReceiving(index, lengthBytes) }
            }
        }
        let rest = Int(truncatingIfNeeded: vectors.totalBytes)
        if rest > 0 {
            let isKept = unsafe connections[index].waiting.append(byteCount: rest) { room in
                // SAFETY: the bytes are copied during the call; whole pieces, for there are as many as announced.
                _ = unsafe vectors.removeFirst(copyingInto: room)
            }
            guard isKept else { return abort(index) }
            watchForRoom(index, true)
        }
        noteForwarded(index)
    }

    /// Tells the guest, when it is time, that its bytes have left the buffer.
    func noteForwarded(_ index: Int) {
        if connections[index].credit.isUpdateDue {
            connections[index].debts.insert(.creditUpdate)
            connections.makeReady(index)
        }
    }

    /// The host program does not receive any more: what waits for it is lost, and the guest is told.
    func hostStoppedReceiving(_ index: Int, _ lostBytes: UInt32) {
        let waiting = UInt32(truncatingIfNeeded: connections[index].waiting.count)
        connections[index].credit.forward(waiting &+ lostBytes)
        connections[index].waiting.removeAll()
        watchForRoom(index, false)
        if !connections[index].hostShutdown.contains(.receive) {
            connections[index].hostShutdown.insert(.receive)
            connections[index].debts.insert(.shutdown)
        }
        noteForwarded(index)
        connections.makeReady(index)
    }

    /// A connection of the guest to a port of the host.
    private func connectToHost(_ header: VsockHeader) {
        guard connections.hasRoom, let socket = try? backend.connect(port: header.destinationPort) else {
            metrics.connectionsRefused.add()
            return answerWithReset(header)
        }
        var connection = VsockConnection(
            phase: .established, hostPort: header.destinationPort, guestPort: header.sourcePort, socket: socket,
            bufferBytes: connections.nextBufferBytes)
        connection.credit.learn(bufferBytes: header.bufferBytes, forwardedBytes: header.forwardedBytes)
        connection.debts = .response
        guard let index = connections.insert(connection), watchSocket(index) else {
            metrics.connectionsRefused.add()
            return answerWithReset(header)
        }
        connections.link(index)
        connections[index].isReadable = true
        metrics.connectionsEstablished.add()
        connections.makeReady(index)
    }

    /// A reset for a packet that belongs to no connection; never for a reset. Source: virtio 1.3 §5.10.6.4.
    private func answerWithReset(_ header: VsockHeader) {
        if header.operationNumber == VsockOperation.reset.rawValue { return }
        oweReset(
            VsockReset(
                hostCID: header.destinationCID, hostPort: header.destinationPort, guestPort: header.sourcePort,
                type: header.type))
    }

    /// Puts a reset in line; drops it when the guest takes none although there are many.
    func oweReset(_ reset: VsockReset) {
        if resets.isFull { deliver() }
        if !resets.append(reset) { metrics.droppedResets.add() }
    }
}

extension VsockDevice.Service {
    /// Finds the pieces of a packet.
    mutating func gather(_ chain: DescriptorChain, into packet: inout IOVectorList) throws(QueueError) {
        try chain.gather(in: memory, readable: &packet)
    }

    /// Gives the driver its buffers back.
    mutating func publishTransmitted() { if transmitQueue.publishUsed() { interrupt.signalUsedBuffers() } }
}
