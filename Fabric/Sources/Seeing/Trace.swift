import AgentProtocol
import CLinux
public import FabricProtocol
import LinuxCalls
import Packets
import WireFormats
import Wiring

/// Sends one packet as a machine would, and tells wherever it and what comes of it are seen in the fabric, and which rule drops them: a JSON
/// object on a line each. In the fabric's network namespace, with one thread, and every signal blocked.
public final class Trace: EventHandler {
    private enum Token { static let signals: UInt32 = 0, input: UInt32 = 1, frames: UInt32 = 2 }
    /// Of each frame.
    private static let keptBytes: UInt32 = 256
    private static let bufferBytes: Int32 = 4 << 20
    /// What goes round and round has no end.
    private static let mostSteps = 500
    /// After a rule has dropped the packet something may still be said of it.
    private static let farewellNanoseconds: UInt64 = 100_000_000

    private struct Step {
        let frame: LinkFrame
        let sighting: PacketSighting
    }

    private struct Loss {
        let event: RuleTraceEvent
        let isAnswer: Bool
    }

    private let request: TraceRequest
    private let packet: TracePacket
    private let loop: EventLoop
    private let signals: SignalFile
    private let frames: CaptureSocket
    private let rules: RuleTrace?
    private let comments: [RuleName: ByteString]
    private let links: [UInt32: ByteString]
    /// The machine's own end of its wire.
    private let tap: UInt32
    /// Where what it sends into its wire goes out.
    private let exit: UInt32
    private var steps: [Step] = []
    private var losses: [Loss] = []
    /// Whether packets of such a number, of those that rules have met, are answers.
    private var isAnswer: [UInt32: Bool] = [:]
    private var room = [UInt8](repeating: 0, count: Int(keptBytes))
    private var deadline: UInt64 = 0
    /// Why the first link has not taken it.
    private var refusal: LinuxError?
    private var isEnding = false

    /// Opens what is looked at, sends the packet, and gives up every right before anything is read.
    public init(_ request: TraceRequest) throws(FabricFault) {
        self.request = request
        let packet = TracePacket(request, random: randomBytes(6))
        self.packet = packet
        do throws(LinuxError) {
            loop = try EventLoop()
            signals = try SignalFile(
                SignalSet(SignalNumber.interrupt, SignalNumber.terminate, SignalNumber.hangUp, SignalNumber.quit))
            var all = try Links()
            var names: [UInt32: ByteString] = [:]
            var end: UInt32?
            for link in try all.list() {
                names[link.index] = link.name
                if link.name == ByteString(FabricPort.tap(request.port)) { end = link.index }
            }
            links = names
            guard let end else { throw .noDevice }
            tap = end
            var wires = try Wires()
            guard let wire = try wires.connections(of: [end]).first?.wire else { throw .noDevice }
            exit = wire.to
            frames = try CaptureSocket(
                link: 0, program: packet.program(bytes: Self.keptBytes), bufferBytes: Self.bufferBytes, seesAll: false)
        } catch {
            throw FabricFault("nothing can be sent from port \(request.port): \(error)")
        }
        (rules, comments) = Self.openRules(packet)
        do throws(LinuxError) {
            _ = try loop.add(signals.descriptor.number, .readable, handler: self, token: Token.signals)
            // Whoever started it has the other end. A file is never waited for.
            _ = try? loop.add(0, .readable, handler: self, token: Token.input)
            _ = try loop.add(frames.descriptor.number, .readable, handler: self, token: Token.frames)
            if let rules {
                _ = try loop.add(rules.descriptor, .readable, handler: self, token: Token.frames)
            }
            deadline = Clock.monotonic.nanoseconds() + request.milliseconds * 1_000_000
            try send()
            // CAP_NET_ADMIN goes too; what belongs to an open socket stays.
            try Confinement.enter(Capture.calls + [__NR_recvfrom])
        } catch {
            throw FabricFault("the packet cannot be followed: \(error)")
        }
    }

    /// A link that does not take it is a place where it ends, and nothing that has gone wrong here.
    private func send() throws(LinuxError) {
        let sender = try FrameSender()
        do throws(LinuxError) { try sender.send(packet.frame, over: exit) } catch { refusal = error }
    }

    /// Nil for a kernel whose rules do not tell what they do.
    private static func openRules(_ packet: TracePacket) -> (RuleTrace?, [RuleName: ByteString]) {
        let matches = packet.marks.map {
            RuleTrace.Match(transport: $0.transport, offset: $0.offset, word: $0.word)
        }
        do throws(LinuxError) {
            let comments = try RuleTrace.comments()
            // Another one at the same time has another word.
            let name = "swiftlet-trace-" + String(packet.word, radix: 16)
            return (try RuleTrace(of: matches, named: name), comments)
        } catch { return (nil, [:]) }
    }

    // MARK: Life

    public func run() {
        while !isEnding {
            let now = Clock.monotonic.nanoseconds()
            if now >= deadline { break }
            loop.runOnce(timeoutMilliseconds: Int32(clamping: (deadline - now) / 1_000_000 + 1))
            take()
        }
        take()
        tell()
    }

    public func handleEvent(token: UInt32, readiness: Readiness) {
        switch token {
        case Token.signals: while signals.next() != nil { isEnding = true }
        case Token.input:
            var byte: [UInt8] = [0]
            // Its end is that of whoever wanted this.
            if (try? read(0, over: &byte)) ?? 0 == 0 { isEnding = true }
        default: break
        }
    }

    private func take() {
        // A link that goes is told once.
        while let frame = (try? frames.receive(over: &room)) ?? nil {
            guard steps.count < Self.mostSteps, let sighting = packet.sighting(inFrame: frame.bytes) else { continue }
            steps.append(Step(frame: frame, sighting: sighting))
            // What has come back to whoever is taken to have asked.
            if frame.link == tap, frame.isSent, sighting.kind != .question { isEnding = true }
        }
        guard let rules else { return }
        for event in rules.next() {
            if let sighting = packet.sighting(inPacket: event.packet[...]) {
                isAnswer[event.id] = sighting.kind != .question
            }
            // Of packets that others follow nothing is known.
            guard event.verdict == .dropped, let isAnswer = isAnswer[event.id], losses.count < Self.mostSteps else {
                continue
            }
            losses.append(Loss(event: event, isAnswer: isAnswer))
            deadline = min(deadline, Clock.monotonic.nanoseconds() + Self.farewellNanoseconds)
        }
    }

    // MARK: Words

    private func tell() {
        var said: [UInt8] = []
        func say(_ members: [JSONMember]) {
            JSONValue.object(members).write(to: &said)
            said.append(0x0a)
        }
        var members = [
            JSONMember("sent_over", .string((links[exit] ?? "").description)),
            JSONMember("text", .string(PacketSummary.text(packet.frame, length: packet.frame.count).description)),
            JSONMember("from_port", .integer(Int64(packet.sourcePort))),
            JSONMember("tells_rules", .boolean(rules != nil)),
        ]
        if let refusal { members.append(JSONMember("not_taken", .string(refusal.description))) }
        say(members)
        let begin = steps.first?.frame.nanoseconds ?? 0
        for step in steps {
            let frame = step.frame
            let since = frame.nanoseconds > begin ? frame.nanoseconds - begin : 0
            var members = [
                JSONMember("seen", .string(Self.word(step.sighting.kind))),
                JSONMember("nanoseconds", .integer(Int64(clamping: since))),
                JSONMember("device", .string((links[frame.link] ?? "").description)),
                JSONMember("is_sent", .boolean(frame.isSent)),
                JSONMember("is_for_others", .boolean(frame.isForOthers)),
                JSONMember("text", .string(PacketSummary.text(frame.bytes, length: frame.length).description)),
                JSONMember("from", .string(step.sighting.source.description)),
                JSONMember("to", .string(step.sighting.destination.description)),
            ]
            if let port = step.sighting.sourcePort { members.append(JSONMember("from_port", .integer(Int64(port)))) }
            if let port = step.sighting.destinationPort { members.append(JSONMember("to_port", .integer(Int64(port)))) }
            if case .refused(let kind, let code) = step.sighting.kind {
                members.append(JSONMember("kind", .integer(Int64(kind))))
                members.append(JSONMember("code", .integer(Int64(code))))
            }
            say(members)
        }
        for loss in losses {
            let event = loss.event
            var members = [
                JSONMember("dropped", .string(loss.isAnswer ? "answer" : "question")),
                JSONMember("family", .string(event.family.description)),
                JSONMember("table", .string(event.table.description)),
                JSONMember("chain", .string(event.chain.description)),
            ]
            if let rule = event.rule {
                members.append(JSONMember("handle", .integer(Int64(clamping: rule.handle))))
                if let comment = comments[rule] { members.append(JSONMember("comment", .string(comment.description))) }
            }
            say(members)
        }
        try? writeAll(1, said)
    }

    private static func word(_ kind: PacketSighting.Kind) -> String {
        switch kind {
        case .question: "question"
        case .accepted: "accepted"
        case .reset: "reset"
        case .answered: "answered"
        case .refused: "refused"
        }
    }
}
