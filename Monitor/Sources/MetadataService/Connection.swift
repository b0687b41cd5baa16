/// One connection of TCP with the guest, seen from the service: it listens, takes requests, and sends answers.
///
/// Bounded: at most `inputLimit` bytes of requests are kept, one answer at a time is on its way, and what the guest does not
/// acknowledge is sent again `maximumAttempts` times. Segments that come out of order are not kept. Source: RFC 9293.
struct Connection {
    typealias Flag = GuestFrame.Flag

    /// Room for requests: also the window that the guest is told.
    static let inputLimit = 4096
    /// As many whole segments are on their way at once.
    private static let segmentsInFlight: UInt32 = 10
    private static let maximumAttempts: UInt64 = 7
    private static let firstPatience: UInt64 = 300_000_000

    enum Verdict { case goesOn, isOver, isBroken }

    let peer: Peer
    private let segmentBytes: UInt32
    private let initialSequence: UInt32
    private var receiveNext: UInt32
    private var unacknowledged: UInt32
    private var sendNext: UInt32
    /// What lies behind everything that was ever sent.
    private var sendLimit: UInt32
    private var peerWindow: UInt32
    private(set) var isEstablished = false
    private(set) var input: [UInt8] = []
    private(set) var output: [UInt8] = []
    /// The number of the answer's first byte.
    private var outputStart: UInt32
    private var hasPeerEnded = false
    private var endsWhenSent = false
    private var owesAcknowledgement = false
    /// One byte may be sent beyond the guest's window, to hear whether it has opened.
    private var mayProbe = false
    private var attempts: UInt64 = 0
    /// When to send again what is not acknowledged.
    private(set) var deadline: UInt64?
    private(set) var lastHeard: UInt64

    init(_ segment: GuestFrame.Segment, initialSequence: UInt32, maximumSegmentBytes: UInt16, now: UInt64) {
        peer = segment.peer
        segmentBytes = UInt32(max(64, min(segment.maximumBytes ?? 536, maximumSegmentBytes)))
        self.initialSequence = initialSequence
        receiveNext = segment.sequence &+ 1
        unacknowledged = initialSequence
        sendNext = initialSequence
        sendLimit = initialSequence
        outputStart = initialSequence &+ 1
        peerWindow = UInt32(segment.window)
        lastHeard = now
    }

    private var outputEnd: UInt32 { outputStart &+ UInt32(truncatingIfNeeded: output.count) }
    private var room: Int { Self.inputLimit - input.count }

    /// An answer can be given: the one before has arrived.
    var takesAnswer: Bool { isEstablished && output.isEmpty && !endsWhenSent }
    /// Nothing more comes from the guest.
    var isAtEnd: Bool { hasPeerEnded }

    static func isBefore(_ one: UInt32, _ other: UInt32) -> Bool { Int32(bitPattern: one &- other) < 0 }

    // MARK: From the guest

    mutating func receive(_ segment: GuestFrame.Segment, _ frame: [UInt8], now: UInt64) -> Verdict {
        let offset = Int32(bitPattern: segment.sequence &- receiveNext)
        if segment.has(Flag.reset) {
            // Only one at the very place ends it; elsewhere in the window it may be forged. Source: RFC 5961 §3.2.
            if offset == 0 { return .isOver }
            if offset > 0 && offset < Self.inputLimit { owesAcknowledgement = true }
            return .goesOn
        }
        lastHeard = now
        if segment.has(Flag.synchronize) {
            if isEstablished || segment.sequence &+ 1 != receiveNext {
                owesAcknowledgement = true
            } else {
                // The answer to the first one was lost.
                sendNext = initialSequence
            }
            return .goesOn
        }
        guard segment.has(Flag.acknowledge) else { return .goesOn }
        let acknowledged = segment.acknowledgement
        if Self.isBefore(sendLimit, acknowledged) {
            if !isEstablished { return .isBroken }
            owesAcknowledgement = true
            return .goesOn
        }
        if Self.isBefore(unacknowledged, acknowledged) {
            unacknowledged = acknowledged
            if Self.isBefore(sendNext, acknowledged) { sendNext = acknowledged }
            isEstablished = true
            attempts = 0
            deadline = unacknowledged == sendNext ? nil : now &+ Self.firstPatience
            if !output.isEmpty, !Self.isBefore(acknowledged, outputEnd) {
                outputStart = outputEnd
                output = []
            }
        }
        guard isEstablished else { return .isBroken }
        if !Self.isBefore(acknowledged, unacknowledged) {
            // What was tried at a closed window was not taken.
            if peerWindow == 0, segment.window > 0 { sendNext = unacknowledged }
            peerWindow = UInt32(segment.window)
            if peerWindow > 0, unacknowledged == sendNext { deadline = nil }
        }
        // Also what asks only whether anybody is there: it stands before its place.
        if offset != 0 { owesAcknowledgement = true }
        take(segment, frame, offset)
        return isOver ? .isOver : .goesOn
    }

    /// Both directions are ended, and the guest knows.
    private var isOver: Bool { hasPeerEnded && endsWhenSent && unacknowledged == outputEnd &+ 1 }

    /// Takes what is new of a segment's data.
    private mutating func take(_ segment: GuestFrame.Segment, _ frame: [UInt8], _ offset: Int32) {
        guard segment.length > 0 else { return }
        owesAcknowledgement = true
        let known = -Int(offset)
        guard !hasPeerEnded, known >= 0, known <= segment.data.count else { return }
        let fresh = segment.data.dropFirst(known)
        let taken = min(fresh.count, room)
        input += frame[fresh.startIndex..<fresh.startIndex + taken]
        receiveNext &+= UInt32(truncatingIfNeeded: taken)
        if segment.has(Flag.finish), taken == fresh.count {
            hasPeerEnded = true
            receiveNext &+= 1
        }
    }

    // MARK: Answers

    mutating func answer(_ bytes: [UInt8], to requestBytes: Int, isLast: Bool) {
        let wasFull = room == 0
        input.removeFirst(requestBytes)
        output = bytes
        if isLast { end() }
        // The guest is told that its window has opened.
        if wasFull { owesAcknowledgement = true }
    }

    /// Nothing is sent behind what is there.
    mutating func end() {
        endsWhenSent = true
        input = []
    }

    // MARK: To the guest

    /// Sends again when it is time.
    mutating func check(now: UInt64) -> Verdict {
        guard let deadline, now >= deadline else { return .goesOn }
        attempts += 1
        if attempts > Self.maximumAttempts { return .isBroken }
        mayProbe = peerWindow == 0
        sendNext = unacknowledged
        self.deadline = now &+ Self.firstPatience << attempts
        return .goesOn
    }

    /// Writes the next frame that the guest should get.
    /// - Returns: false when there is none now.
    mutating func write(
        _ writer: inout FrameWriter, port: UInt16, _ maximum: UInt16, _ frame: inout [UInt8], now: UInt64
    )
        -> Bool
    {
        var segment = FrameWriter.Segment(
            port: port, sequence: sendNext, acknowledgement: receiveNext, flags: Flag.acknowledge,
            window: UInt16(room))
        if sendNext == initialSequence {
            segment.flags |= Flag.synchronize
            segment.maximumBytes = maximum
            writer.segment(segment, to: peer, into: &frame)
            return sent(1, now)
        }
        guard isEstablished else { return false }
        let left = outputEnd &- sendNext
        let isAllSent = !Self.isBefore(sendNext, outputEnd)
        let flying = sendNext &- unacknowledged
        let window = min(mayProbe ? max(peerWindow, 1) : peerWindow, segmentBytes &* Self.segmentsInFlight)
        let count = isAllSent || flying >= window ? 0 : min(left, segmentBytes, window &- flying)
        if count > 0 {
            let start = Int(sendNext &- outputStart)
            segment.flags |= Flag.push
            if endsWhenSent, count == left { segment.flags |= Flag.finish }
            writer.segment(segment, to: peer, data: output[start..<start + Int(count)], into: &frame)
            return sent(segment.flags & Flag.finish == 0 ? count : count &+ 1, now)
        }
        if endsWhenSent, sendNext == outputEnd {
            segment.flags |= Flag.finish
            writer.segment(segment, to: peer, into: &frame)
            return sent(1, now)
        }
        // Data wait for the window, and nothing of them is on its way: a try at it comes with time.
        if !isAllSent, flying == 0, deadline == nil { deadline = now &+ Self.firstPatience }
        guard owesAcknowledgement else { return false }
        owesAcknowledgement = false
        writer.segment(segment, to: peer, into: &frame)
        return true
    }

    private mutating func sent(_ count: UInt32, _ now: UInt64) -> Bool {
        sendNext &+= count
        if Self.isBefore(sendLimit, sendNext) { sendLimit = sendNext }
        owesAcknowledgement = false
        mayProbe = false
        if deadline == nil { deadline = now &+ Self.firstPatience }
        return true
    }

    /// Where a segment that ends the connection at once has its place.
    var resetSequence: UInt32 { sendNext }
}
