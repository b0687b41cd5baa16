import AgentProtocol
import CLinux
public import FabricProtocol
import LinuxCalls
public import Packets
import WireFormats
import Wiring

/// Sends one packet as a machine would, and tells wherever it and what comes of it are seen in the fabric, and which rule drops them: a JSON
/// object on a line each. In the fabric's network namespace, with one thread, and every signal blocked.
public final class Trace: EventHandler {
    private enum Token { static let signals: UInt32 = 0, input: UInt32 = 1, frames: UInt32 = 2 }
    /// Of each frame: as much as an answer to a question may need.
    static let keptBytes: UInt32 = 1514
    static let bufferBytes: Int32 = 4 << 20
    /// What goes round and round has no end.
    private static let mostSteps = 500
    /// After a rule has dropped the packet something may still be said of it.
    private static let farewellNanoseconds: UInt64 = 100_000_000

    private struct Step {
        var frame: LinkFrame
        let sighting: PacketSighting
        /// Whether it is on the computer that the fabric is in.
        let isOutside: Bool
    }

    /// A rule's word, which is the last for those who are not let through.
    private struct Decision {
        let event: RuleTraceEvent
        let isAnswer: Bool
    }

    private let request: TraceRequest
    private let packet: TracePacket
    private let loop: EventLoop
    private let signals: SignalFile
    private let frames: CaptureSocket
    private let outside: TraceOutside?
    private let rules: RuleTrace?
    private let comments: [RuleName: ByteString]
    private let links: [UInt32: ByteString]
    /// The machine's own end of its wire, and where what it sends into that goes out; nil where the computer sends.
    private let wire: (tap: UInt32, exit: UInt32)?
    private var steps: [Step] = []
    private var decisions: [Decision] = []
    /// Whether packets of such a number, of those that rules have met, are answers.
    private var isAnswer: [UInt32: Bool] = [:]
    private var room = [UInt8](repeating: 0, count: Int(keptBytes))
    private var deadline: UInt64 = 0
    /// Why the first link has not taken it.
    private var refusal: LinuxError?
    private var isEnding = false

    /// Opens what is looked at, sends the packet, and gives up every right before anything is read.
    /// - Parameter outside: nil where nothing can be seen there.
    public init(_ packet: TracePacket, outside: TraceOutside?) throws(FabricFault) {
        let request = packet.request
        self.request = request
        self.packet = packet
        self.outside = outside
        if request.port == nil {
            guard let outside else {
                throw FabricFault("nothing can be sent from this computer as if it came from outside: that takes root")
            }
            guard outside.isOwn else {
                throw FabricFault("\(request.destination) is no address of this computer, where ports are published")
            }
        }
        do throws(LinuxError) {
            loop = try EventLoop()
            signals = try SignalFile(
                SignalSet(SignalNumber.interrupt, SignalNumber.terminate, SignalNumber.hangUp, SignalNumber.quit))
            var all = try Links()
            var names: [UInt32: ByteString] = [:]
            var end: UInt32?
            for link in try all.list() {
                names[link.index] = link.name
                if let port = request.port, link.name == ByteString(FabricPort.tap(port)) { end = link.index }
            }
            links = names
            if request.port == nil {
                wire = nil
            } else {
                guard let end else { throw .noDevice }
                var wires = try Wires()
                guard let way = try wires.connections(of: [end]).first?.wire else { throw .noDevice }
                wire = (end, way.to)
            }
            frames = try CaptureSocket(
                link: 0, program: packet.program(bytes: Self.keptBytes), bufferBytes: Self.bufferBytes, seesAll: false)
        } catch {
            let sender = request.port.map { "port \($0)" } ?? "this computer"
            throw FabricFault("nothing can be sent from \(sender): \(error)")
        }
        (rules, comments) = Self.openRules(packet)
        do throws(LinuxError) {
            _ = try loop.add(signals.descriptor.number, .readable, handler: self, token: Token.signals)
            // Whoever started it has the other end. A file is never waited for.
            _ = try? loop.add(0, .readable, handler: self, token: Token.input)
            _ = try loop.add(frames.descriptor.number, .readable, handler: self, token: Token.frames)
            if let outside {
                _ = try loop.add(outside.frames.descriptor.number, .readable, handler: self, token: Token.frames)
            }
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
        guard let wire else {
            do throws(LinuxError) { try outside?.send(packet) } catch { refusal = error }
            return
        }
        let sender = try FrameSender()
        do throws(LinuxError) { try sender.send(packet.frame, over: wire.exit) } catch { refusal = error }
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
            guard let sighting = note(frame, isOutside: false) else { continue }
            // What has come back to whoever is taken to have asked.
            if frame.link == wire?.tap, frame.isSent, sighting.kind != .question { isEnding = true }
        }
        while let frame = (try? outside?.frames.receive(over: &room)) ?? nil {
            guard let sighting = note(frame, isOutside: true) else { continue }
            if wire == nil, !frame.isSent, sighting.kind != .question { isEnding = true }
        }
        guard let rules else { return }
        for event in rules.next() {
            if let sighting = packet.sighting(inPacket: event.packet[...]) {
                isAnswer[event.id] = sighting.kind != .question
            }
            // Of packets that others follow nothing is known.
            guard event.verdict != .goesOn, let isAnswer = isAnswer[event.id], decisions.count < Self.mostSteps else {
                continue
            }
            // Of those who let it through the machine's own rules alone are of interest.
            if event.verdict == .accepted {
                // Published ports are let in by the fabric's own.
                let table: ByteString = wire == nil ? "swiftlet" : "swiftlet-egress"
                guard event.table == table, let rule = event.rule, comments[rule] != nil else { continue }
            }
            decisions.append(Decision(event: event, isAnswer: isAnswer))
            if event.verdict == .accepted { continue }
            deadline = min(deadline, Clock.monotonic.nanoseconds() + Self.farewellNanoseconds)
        }
    }

    private func note(_ frame: LinkFrame, isOutside: Bool) -> PacketSighting? {
        guard steps.count < Self.mostSteps, let sighting = packet.sighting(inFrame: frame.bytes) else { return nil }
        steps.append(Step(frame: frame, sighting: sighting, isOutside: isOutside))
        return sighting
    }

    // MARK: Words

    private func tell() {
        var said: [UInt8] = []
        func say(_ members: [JSONMember]) {
            JSONValue.object(members).write(to: &said)
            said.append(0x0a)
        }
        var members = [
            JSONMember("sent_over", .string((wire.flatMap { links[$0.exit] } ?? "").description)),
            JSONMember("text", .string(PacketSummary.text(packet.frame, length: packet.frame.count).description)),
            JSONMember("from_port", .integer(Int64(packet.sourcePort))),
            JSONMember("tells_rules", .boolean(rules != nil)),
        ]
        if let refusal { members.append(JSONMember("not_taken", .string(refusal.description))) }
        if let outside { members.append(JSONMember("way_outside", outside.document)) }
        if let answer = steps.lazy.compactMap({ self.packet.answer(inFrame: $0.frame.bytes) }).first {
            members.append(JSONMember("answer_code", .integer(Int64(answer.code))))
            members.append(JSONMember("addresses", .array(answer.addresses.map { .string($0.description) })))
        }
        say(members)
        let told = inOrder()
        let begin = told.first?.frame.nanoseconds ?? 0
        for step in told {
            let frame = step.frame
            let links = step.isOutside ? outside?.links ?? [:] : links
            let since = frame.nanoseconds > begin ? frame.nanoseconds - begin : 0
            var members = [
                JSONMember("seen", .string(Self.word(step.sighting.kind))),
                JSONMember("nanoseconds", .integer(Int64(clamping: since))),
                JSONMember("device", .string((links[frame.link] ?? "").description)),
                JSONMember("is_outside", .boolean(step.isOutside)),
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
        for decision in decisions {
            let event = decision.event
            let verdict = event.verdict == .dropped ? "dropped" : "accepted"
            var members = [
                JSONMember(verdict, .string(decision.isAnswer ? "answer" : "question")),
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

    /// With what was seen on the computer where it left the fabric and came back into it. What is seen within a moment after a place began to
    /// be looked at has the time when it was taken from there, so that times alone say nothing between the two; they are made to fit.
    private func inOrder() -> [Step] {
        if wire == nil { return steps.sorted { $0.frame.nanoseconds < $1.frame.nanoseconds } }
        let outer = steps.filter { $0.isOutside }
        var (told, last): ([Step], UInt64) = ([], 0)
        func add(_ all: [Step], upTo most: UInt64) {
            for var step in all {
                step.frame.nanoseconds = max(last, min(step.frame.nanoseconds, most))
                last = step.frame.nanoseconds
                told.append(step)
            }
        }
        var isTold = (questions: false, answers: false)
        let inner = steps.filter { !$0.isOutside }
        for (place, step) in inner.enumerated() {
            let isQuestion = step.sighting.kind == .question
            let isAtEdge = links[step.frame.link] == "up0"
            if isAtEdge, !isQuestion, !isTold.answers {
                isTold.answers = true
                add(outer.filter { $0.sighting.kind != .question }, upTo: step.frame.nanoseconds)
            }
            add([step], upTo: .max)
            if isAtEdge, isQuestion, !isTold.questions {
                isTold.questions = true
                let next = place + 1 < inner.count ? inner[place + 1].frame.nanoseconds : .max
                add(outer.filter { $0.sighting.kind == .question }, upTo: next)
            }
        }
        if !isTold.answers { add(outer.filter { $0.sighting.kind != .question }, upTo: .max) }
        return told
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
