/// The metadata service on one interface of the guest: frames to its address in, frames to the guest out.
///
/// Belongs to the thread of the interface's device. Memory is bounded: by `maximumConnections` and what each keeps, and
/// by `answerBudget` for all answers that are on their way, of which the last may go beyond it. No state goes into a
/// snapshot: connections that were open then are reset at their next segment.
public final class MetadataEndpoint {
    public static let maximumConnections = 16
    static let answerBudget = 64 << 10
    /// As many short frames wait for the guest's buffers; more are lost, as on a wire.
    private static let maximumReplies = 16
    private static let port: UInt16 = 80
    /// So long a connection may be silent when another one needs its place.
    private static let idleNanoseconds: UInt64 = 5_000_000_000
    /// Of a frame, to see whether it is for the service.
    public static let prefixBytes = 42
    /// The longest frame that can be for the service: full headers, and as much as the window takes.
    public static let maximumFrameBytes = GuestFrame.ethernetBytes + 60 + 60 + Connection.inputLimit

    /// A frame without a connection.
    private enum Reply {
        case address(Peer)
        case reset(FrameWriter.Segment, Peer)
    }

    public let metrics = MetadataMetrics()
    private let address: UInt32
    private let maximumSegmentBytes: UInt16
    private let responder: MetadataResponder
    private var writer: FrameWriter
    private var connections: [Connection] = []
    private var replies: [Reply] = []
    /// Whose turn it is to send.
    private var turn = 0

    init(_ store: MetadataStore, address: UInt32, mtu: UInt16?) {
        self.address = address
        maximumSegmentBytes = min(max(mtu ?? 1500, 576), 1500) - 40
        responder = MetadataResponder(store)
        writer = FrameWriter(address: address)
    }

    /// Whether the frame that begins with the first `count` bytes is the service's affair. Trust: none in the bytes.
    public func isAddressed(_ prefix: [UInt8], count: Int) -> Bool {
        GuestFrame.isAddressed(prefix, count: count, to: address)
    }

    /// Takes one of the guest's frames that `isAddressed`.
    /// - Parameters:
    ///   - hasChecksum: false when the guest left TCP's to the device.
    ///   - now: nanoseconds of a clock that only goes forward.
    public func receive(_ frame: [UInt8], count: Int, hasChecksum: Bool, now: UInt64) {
        metrics.receivedFrames.add()
        switch GuestFrame(frame, count: count, hasChecksum: hasChecksum) {
        case .question(let peer): reply(.address(peer))
        case .segment(let segment): receive(segment, frame, now)
        case .strange: metrics.strangeFrames.add()
        case .malformed: metrics.malformedFrames.add()
        }
    }

    /// The driver has gone, and its connections with it.
    public func reset() {
        metrics.closedConnections.add(UInt64(connections.count))
        connections = []
        replies = []
    }

    /// When `writeFrame` may have something to send though nothing has come.
    public var deadline: UInt64? {
        var first: UInt64?
        for connection in connections {
            if let deadline = connection.deadline { first = min(first ?? deadline, deadline) }
        }
        return first
    }

    /// Writes the next frame for the guest at the end of `frame`.
    /// - Returns: false when there is none now.
    public func writeFrame(_ frame: inout [UInt8], now: UInt64) -> Bool {
        let before = frame.count
        check(now)
        guard writeReply(&frame) || writeSegment(&frame, now) else { return false }
        metrics.sentFrames.add()
        metrics.sentBytes.add(UInt64(frame.count - before))
        return true
    }

    /// What lies at the device until the guest has it, in bytes.
    package var keptBytes: Int { connections.reduce(0) { $0 + $1.input.count + $1.output.count } }

    // MARK: Connections

    private func receive(_ segment: GuestFrame.Segment, _ frame: [UInt8], _ now: UInt64) {
        guard let index = connections.firstIndex(where: { $0.peer == segment.peer && segment.port == Self.port }) else {
            open(segment, now)
            return
        }
        switch connections[index].receive(segment, frame, now: now) {
        case .goesOn: break
        case .isOver: close(index)
        case .isBroken:
            refuse(segment)
            close(index)
        }
        answerAll(now)
    }

    private func open(_ segment: GuestFrame.Segment, _ now: UInt64) {
        if segment.has(GuestFrame.Flag.reset) { return }
        guard segment.flags & 0x17 == GuestFrame.Flag.synchronize, segment.port == Self.port, makeRoom(now) else {
            refuse(segment)
            return
        }
        let sequence = responder.unguessable(now ^ UInt64(segment.peer.port) << 48)
        connections.append(
            Connection(segment, initialSequence: sequence, maximumSegmentBytes: maximumSegmentBytes, now: now))
        metrics.openedConnections.add()
    }

    /// - Returns: whether there is place for another connection; the one that has been silent longest may go for it.
    private func makeRoom(_ now: UInt64) -> Bool {
        if connections.count < Self.maximumConnections { return true }
        var oldest = 0
        for index in connections.indices where connections[index].lastHeard < connections[oldest].lastHeard {
            oldest = index
        }
        guard now &- connections[oldest].lastHeard >= Self.idleNanoseconds else { return false }
        reset(oldest)
        return true
    }

    private func close(_ index: Int) {
        connections.remove(at: index)
        metrics.closedConnections.add()
    }

    /// Ends a connection at once, and says so.
    private func reset(_ index: Int) {
        let segment = FrameWriter.Segment(
            port: Self.port, sequence: connections[index].resetSequence, flags: GuestFrame.Flag.reset)
        reply(.reset(segment, connections[index].peer))
        close(index)
    }

    /// Answers a segment that belongs to no connection. Source: RFC 9293 §3.10.7.1.
    private func refuse(_ segment: GuestFrame.Segment) {
        var answer = FrameWriter.Segment(port: segment.port, sequence: 0, flags: GuestFrame.Flag.reset)
        if segment.has(GuestFrame.Flag.acknowledge) {
            answer.sequence = segment.acknowledgement
        } else {
            answer.acknowledgement = segment.sequence &+ segment.length
            answer.flags |= GuestFrame.Flag.acknowledge
        }
        reply(.reset(answer, segment.peer))
    }

    private func reply(_ reply: Reply) { if replies.count < Self.maximumReplies { replies.append(reply) } }

    // MARK: Requests

    /// Answers the requests that are whole, as far as the budget goes.
    private func answerAll(_ now: UInt64) {
        var kept = connections.reduce(0) { $0 + $1.output.count }
        for index in connections.indices where connections[index].takesAnswer {
            guard kept == 0 || kept < Self.answerBudget else { return }
            switch MetadataRequest.parse(connections[index].input, limit: Connection.inputLimit) {
            case .request(let request, let byteCount):
                connections[index].answer(
                    responder.answer(request, now: now), to: byteCount, isLast: request.isLast)
            case .refused(let reason):
                connections[index].answer(
                    responder.refuse(reason), to: connections[index].input.count, isLast: true)
            case .incomplete: if connections[index].isAtEnd { connections[index].end() }
            }
            kept += connections[index].output.count
        }
    }

    // MARK: To the guest

    private func check(_ now: UInt64) {
        var isRoomier = false
        for index in connections.indices.reversed() where connections[index].check(now: now) == .isBroken {
            reset(index)
            isRoomier = true
        }
        if isRoomier { answerAll(now) }
    }

    private func writeReply(_ frame: inout [UInt8]) -> Bool {
        guard !replies.isEmpty else { return false }
        switch replies.removeFirst() {
        case .address(let peer): writer.answer(to: peer, into: &frame)
        case .reset(let segment, let peer): writer.segment(segment, to: peer, into: &frame)
        }
        return true
    }

    private func writeSegment(_ frame: inout [UInt8], _ now: UInt64) -> Bool {
        for _ in connections.indices {
            if turn >= connections.count { turn = 0 }
            let index = turn
            turn += 1
            if connections[index].write(&writer, port: Self.port, maximumSegmentBytes, &frame, now: now) {
                // The same one goes on, so that its answer arrives in one go.
                turn = index
                return true
            }
        }
        return false
    }
}
