import AgentClient
import ArgumentParser
import Fleet

struct FlowsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flows", abstract: "List the connections of machines with what is not in their network.",
        discussion: """
            As the kernel remembers them: who began it (FROM) and who answers (TO), machines by their names. VIA is whom the first
            has asked, where that is another one (a published port); AS is how the answerer sees the first, where that is
            another one (on the way out of this computer). SENT and RECEIVED are those of whoever began it.

            Machines of one network speak to one another directly; nobody remembers that. `swiftlet capture` shows it.

            Examples:
              swiftlet flows
              swiftlet flows web --watch
              swiftlet flows --json
            """)

    @Flag(name: [.short, .long], help: "Show them again every second, until Ctrl-C.") var watch = false
    @Argument(help: "Only those of this machine.", completion: Completions.runningMachines) var machine: String?
    @OptionGroup var format: FormatOptions

    func validate() throws {
        guard !(watch && format.isJSON) else { throw ValidationError("--watch and --json contradict each other") }
    }

    func run() throws {
        let signals = try SignalWatcher()
        guard watch else { return try show(signals) }
        while true {
            // The terminal's first line and column, and nothing behind it.
            if Terminal.isTerminal(1) { Output.bytes(Array("\u{1b}[H\u{1b}[J".utf8), to: 1) }
            try show(signals)
            var entries = [PollEntry(reading: signals.descriptor)]
            AgentClient.wait(for: &entries, until: Deadline(afterMilliseconds: 1000))
            if let signal = signals.next(), SignalWatcher.asksForTheEnd(signal) {
                throw ExitStatusError(status: 128 + signal)
            }
        }
    }

    private func show(_ signals: SignalWatcher) throws {
        let flows = try Product.fleet.flows(of: machine, signals: signals)
        if format.isJSON { return Output.json(flows.map(FlowDocument.init)) }
        var table = Table("PROTOCOL", "STATE", "FROM", "TO", "VIA", "AS", "SENT", "RECEIVED", "AGE")
        for flow in flows {
            table.add(
                flow.transport, flow.state, flow.source.words, flow.destination.words, flow.asked?.words ?? "-",
                flow.seenAs?.words ?? "-", flow.sent.map { Units.size($0.bytes) } ?? "-",
                flow.received.map { Units.size($0.bytes) } ?? "-",
                flow.ageMilliseconds.map { Units.age(seconds: Int64(clamping: $0 / 1000)) } ?? "-")
        }
        Output.line(table.text)
    }
}

extension Flow.End {
    var words: String {
        let name = machine ?? (address.contains(":") && port != nil ? "[\(address)]" : address)
        return port.map { "\(name):\($0)" } ?? name
    }
}

/// A connection, for programs: names that stay.
struct FlowDocument: Encodable {
    struct End: Encodable {
        var address: String
        var port: UInt16?
        var machine: String?

        init(_ end: Flow.End) { (address, port, machine) = (end.address, end.port, end.machine) }
    }

    struct Counts: Encodable {
        var packets: UInt64
        var bytes: UInt64

        init(_ counts: Flow.Counts) { (packets, bytes) = (counts.packets, counts.bytes) }
    }

    var transport: String
    /// `opening`, `established`, `closing`, `closed` of TCP; `answered` or `unanswered`.
    var state: String
    var from: End
    var to: End
    var via: End?
    var seenAs: End?
    var sent: Counts?
    var received: Counts?
    var ageMilliseconds: UInt64?
    var secondsLeft: UInt64?

    init(_ flow: Flow) {
        (transport, state) = (flow.transport, flow.state)
        (from, to) = (End(flow.source), End(flow.destination))
        (via, seenAs) = (flow.asked.map(End.init), flow.seenAs.map(End.init))
        (sent, received) = (flow.sent.map(Counts.init), flow.received.map(Counts.init))
        (ageMilliseconds, secondsLeft) = (flow.ageMilliseconds, flow.secondsLeft)
    }
}
