import AgentClient
import ArgumentParser
import FabricProtocol
import Fleet

struct TraceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace", abstract: "Send one packet in a machine's place, and show which way it takes.",
        discussion: """
            The packet begins a connection of TCP (or is a datagram, or a ping), and goes into the wire of the machine as if that
            had sent it. Each place where it is seen is a line, and so is each of its answer; the last line says what has become
            of it, and where it is lost, by which rule.

            FROM is a machine that runs, or MACHINE:INTERFACE. TO is a machine, a network (its gateway), an address, or a name,
            with a port: web:80, lan:53, 10.0.0.1:443, [fd00::1]:80, example.org:443. Names that are elsewhere are asked for as
            the machine would ask; what goes there is followed until it leaves this computer (without root: its network's
            fabric).

            From outside, as the word says, this computer asks for one of its own ports, as whoever wants a published port
            does: which machine has it, and which way that takes.

            Exit status: 0 when it is answered (a datagram: has arrived and is not refused), 1 when not, 125 when nothing could
            be sent.

            Examples:
              swiftlet trace client web:80
              swiftlet trace --udp client lan:53
              swiftlet trace --icmp client:eth1 192.0.2.1
              swiftlet trace client example.org:443
              swiftlet trace client 192.0.2.1:443 --json
              swiftlet trace outside localhost:8080
            """)

    @Flag(help: "Send a datagram of UDP.") var udp = false
    @Flag(help: "Send a ping; TO has no port.") var icmp = false
    @Option(help: ArgumentHelp("Wait so long for the answer: 2s, 500ms.", valueName: "time")) var timeout = "2s"
    @Argument(help: "The machine, or MACHINE:INTERFACE, or outside.", completion: Completions.tracing) var from: String
    @Argument(help: "Where to: MACHINE:PORT, NETWORK:PORT, ADDRESS:PORT.", completion: Completions.traced) var to:
        String
    @OptionGroup var format: FormatOptions

    func validate() throws {
        guard !(udp && icmp) else { throw ValidationError("--udp and --icmp contradict each other") }
    }

    func run() throws {
        let time = try Units.time(timeout, "--timeout")
        guard time >= 0.001, time <= 3600 else {
            throw CommandFailure("usage.time", "--timeout is from 1ms to 1h, not \(timeout)")
        }
        let wish = TraceWish(
            from: from, to: to, transport: udp ? .udp : icmp ? .icmp : .tcp, milliseconds: UInt64(time * 1000))
        let trace = try Product.fleet.trace(wish, signals: try SignalWatcher())
        if format.isJSON { Output.json(TraceDocument(trace)) } else { Output.line(trace.text) }
        if !trace.isSuccess { throw ExitStatusError(status: 1) }
    }
}

extension PacketTrace {
    /// For a terminal.
    var text: String {
        var lines: [String] = []
        if !steps.isEmpty {
            var table = Table("TIME", "PLACE", "WHAT HAPPENS")
            for step in steps { table.add(step.time, step.place, step.words) }
            lines.append(table.text)
        }
        lines.append(Table.printable(verdict))
        if let rule { lines.append(Table.printable("rule: \(rule.text)")) }
        if !tellsRules, outcome == .lost || outcome == .answerLost {
            lines.append("this kernel does not say which rules drop packets")
        }
        if isInEmulatedHost, from.name != "outside", steps.contains(where: { $0.place == "outside" }) {
            lines.append(
                "without KVM what is outside is the emulated host's, and so is what is called this computer: it is the emulator that answers there"
            )
        }
        return lines.joined(separator: "\n")
    }

    private var verdict: String {
        let place = lastPlace.map { " at \($0)" } ?? ""
        return switch outcome {
        case .answered, .delivered: "arrived: \(explanation)"
        case .refused: "refused: \(explanation)"
        case .unreachable: "unreachable: \(explanation)"
        case .dropped: "dropped\(place): \(explanation)"
        case .lost: "lost\(place): \(explanation)"
        case .unanswered: "no answer: \(explanation)"
        case .answerLost: "answer lost\(place): \(explanation)"
        case .unsent: "not sent: \(explanation)"
        case .unnamed: "no address: \(explanation)"
        case .unpublished: "not published: \(explanation)"
        }
    }
}

extension PacketTrace.Step {
    /// Milliseconds with three decimals.
    fileprivate var time: String {
        let microseconds = nanoseconds / 1000
        let decimals = "\(microseconds % 1000)"
        return "\(microseconds / 1000)." + String(repeating: "0", count: 3 - decimals.count) + decimals + " ms"
    }
}

extension PacketTrace.Rule {
    fileprivate var text: String {
        [
            "table \(family) \(table), chain \(chain)", handle.map { "handle \($0)" } ?? "policy",
            comment.map { "\"\($0)\"" },
        ]
        .compactMap { $0 }.joined(separator: ", ")
    }
}

/// A packet's way, for programs: names that stay.
struct TraceDocument: Encodable {
    struct End: Encodable {
        /// Empty where a name has none.
        var address: String
        var port: UInt16?
        /// The machine, or the network whose gateway it is, or the name that was asked for.
        var name: String?

        init(_ end: PacketTrace.End) { (address, port, name) = (end.address, end.port, end.name) }
    }

    struct Step: Encodable {
        var microseconds: UInt64
        var place: String
        var words: String
        var packet: String?
        var isAnswer: Bool
    }

    struct Rule: Encodable {
        var family: String
        var table: String
        var chain: String
        var handle: UInt64?
        var comment: String?
    }

    var transport: String
    var from: End
    var to: End
    /// `answered`, `delivered`, `refused`, `unreachable`, `dropped`, `lost`, `unanswered`, `answer-lost`, `unsent`,
    /// `unnamed`, `unpublished`.
    var outcome: String
    var isSuccess: Bool
    var explanation: String
    var lastPlace: String?
    var rule: Rule?
    var tellsRules: Bool
    var isInEmulatedHost: Bool
    var steps: [Step]

    init(_ trace: PacketTrace) {
        (transport, from, to) = (trace.transport, End(trace.from), End(trace.to))
        (outcome, isSuccess, explanation) = (trace.outcome.rawValue, trace.isSuccess, trace.explanation)
        (lastPlace, tellsRules) = (trace.lastPlace, trace.tellsRules)
        isInEmulatedHost = trace.isInEmulatedHost
        rule = trace.rule.map {
            Rule(family: $0.family, table: $0.table, chain: $0.chain, handle: $0.handle, comment: $0.comment)
        }
        steps = trace.steps.map {
            Step(
                microseconds: $0.nanoseconds / 1000, place: $0.place, words: $0.words,
                packet: $0.packet.isEmpty ? nil : $0.packet, isAnswer: $0.isAnswer)
        }
    }
}
