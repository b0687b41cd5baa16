import ArgumentParser
import FabricProtocol
import Fleet

struct ImpairCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "impair", abstract: "Make the wire of a machine slow, lossy or narrow, while it runs.",
        discussion: """
            What is said counts at once, for packets that come from then on, in place of what was said before: what is not said is
            not so. It stays whenever the machine begins again, until --off. Each way is impaired, unless --direction says which:
            with --delay 80ms an answer takes 160 ms longer. Without an option: what is so, and what has become of packets.

            Examples:
              swiftlet impair web --delay 80ms --jitter 10ms --loss 1.5
              swiftlet impair web:eth1 --rate 10mbit --direction to-machine
              swiftlet impair web --off
              swiftlet impair
            """)

    enum Direction: String, ExpressibleByArgument, CaseIterable {
        case toMachine = "to-machine"
        case toNetwork = "to-network"
        case both
    }

    @Option(help: ArgumentHelp("How much later packets arrive: up to 10s.", valueName: "time")) var delay: String?
    @Option(help: ArgumentHelp("By how much that varies, at most by the delay.", valueName: "time")) var jitter: String?
    @Option(help: ArgumentHelp("How many of a hundred are lost, by chance.", valueName: "percent")) var loss: String?
    @Option(help: ArgumentHelp("How many of a hundred arrive twice.", valueName: "percent")) var duplicate: String?
    @Option(help: ArgumentHelp("How much passes in a second: 400kbit, 10mbit, 1gbit.", valueName: "rate"))
    var rate: String?
    @Option(help: "What is sent to the machine, what it sends, or both.") var direction: Direction = .both
    @Flag(help: "Have it be a plain wire again.") var off = false
    @Argument(
        help: ArgumentHelp("A machine, or MACHINE:INTERFACE.", valueName: "wire"), completion: Completions.machines)
    var target: String?
    @OptionGroup var format: FormatOptions

    private var isSaid: Bool { ![delay, jitter, loss, duplicate, rate].allSatisfy { $0 == nil } }

    func validate() throws {
        guard !(off && isSaid) else { throw ValidationError("--off takes everything away, and nothing goes with it") }
        guard target != nil || !(off || isSaid) else {
            throw ValidationError("say which wire: a machine, or MACHINE:INTERFACE")
        }
    }

    func run() throws {
        guard let target, off || isSaid else { return try list() }
        let way = try off ? WireImpairment.Way() : wanted()
        try Product.fleet.impair(target) { impairment in
            if direction != .toNetwork { impairment.toMachine = way }
            if direction != .toMachine { impairment.toNetwork = way }
        }
    }

    private func wanted() throws -> WireImpairment.Way {
        var way = WireImpairment.Way()
        if let delay { way.delayMicroseconds = try Self.microseconds(delay, "--delay") }
        if let jitter { way.jitterMicroseconds = try Self.microseconds(jitter, "--jitter") }
        guard way.jitterMicroseconds <= way.delayMicroseconds else {
            throw CommandFailure(
                "usage.time",
                "--jitter is more than --delay, and nothing arrives before it was sent; say a longer --delay")
        }
        if let loss { way.lossPercent = try Self.percent(loss, "--loss") }
        if let duplicate { way.duplicatePercent = try Self.percent(duplicate, "--duplicate") }
        if let rate { way.rateKilobitsPerSecond = try Self.kilobits(rate) }
        return way
    }

    private static func microseconds(_ text: String, _ option: String) throws -> UInt32 {
        let value = (try Units.time(text, option) * 1e6).rounded()
        guard value <= Double(Impairment.Way.mostDelayMicroseconds) else {
            throw CommandFailure("usage.time", "\(option) is at most 10s, not \(text)")
        }
        return UInt32(value)
    }

    /// With up to three decimals.
    static func percent(_ text: String, _ option: String) throws -> Double {
        let digits = text.hasSuffix("%") ? String(text.dropLast()) : text
        let halves = digits.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(halves.count), (1...3).contains(halves[0].count),
            (1...3).contains(halves.last?.count ?? 0),
            digits.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == 0x2e }), let value = Double(digits),
            value <= 100
        else {
            throw CommandFailure(
                "usage.percent", "\(option) is how many of a hundred, with up to three decimals, as 1.5 is; not \(text)"
            )
        }
        return value
    }

    static func kilobits(_ text: String) throws -> UInt32 {
        let units: [(String, Double)] = [("kbit", 1), ("mbit", 1e3), ("gbit", 1e6), ("bit", 1e-3)]
        let lower = text.lowercased()
        if let (unit, factor) = units.first(where: { lower.hasSuffix($0.0) }),
            let number = Double(lower.dropLast(unit.count)),
            number.isFinite
        {
            let value = (number * factor).rounded()
            // Less than a kilobit would be none, which means as much as comes.
            if value >= (number == 0 ? 0 : 1), value <= Double(Impairment.Way.mostKilobitsPerSecond) {
                return UInt32(value)
            }
        }
        throw CommandFailure(
            "usage.rate", "\"\(text)\" is no rate; write it as 400kbit, 10mbit or 1gbit, 10gbit at most (--rate)")
    }

    // MARK: Showing

    private struct Document: Encodable {
        var machine: String
        var interface: String
        var network: String
        var toMachine: WireImpairment.Way
        var toNetwork: WireImpairment.Way
        /// Nil where the machine does not run.
        var counts: StretchState?
    }

    private func list() throws {
        let wanted = try target.map { try Product.fleet.wire($0) }
        let wires = Product.fleet.wires().filter { wire in
            wire.impairment != nil && (wanted.map { $0.machine == wire.machine && $0.place == wire.interface } ?? true)
        }
        if format.isJSON {
            return Output.json(
                wires.map { wire in
                    let impairment = wire.impairment ?? WireImpairment()
                    return Document(
                        machine: wire.machine, interface: wire.interface, network: wire.network,
                        toMachine: impairment.toMachine, toNetwork: impairment.toNetwork, counts: wire.stretch)
                })
        }
        var table = Table("WIRE", "DIRECTION", "IMPAIRED BY", "PACKETS", "LOST", "TWICE", "DROPPED")
        for wire in wires {
            guard let impairment = wire.impairment else { continue }
            let ways = [
                ("to-machine", impairment.toMachine, wire.stretch?.toMachine),
                ("to-network", impairment.toNetwork, wire.stretch?.toNetwork),
            ]
            for (name, way, counts) in ways {
                let numbers = counts.map { [$0.frames, $0.lost, $0.duplicated, $0.dropped].map { "\($0)" } }
                table.add(["\(wire.machine):\(wire.interface)", name, way.words] + (numbers ?? ["-", "-", "-", "-"]))
            }
        }
        Output.line(table.text)
    }
}

extension WireImpairment.Way {
    /// For people.
    var words: String {
        var words: [String] = []
        if delayMicroseconds > 0 {
            words.append(
                "delay \(Self.time(delayMicroseconds))"
                    + (jitterMicroseconds > 0 ? " ± \(Self.time(jitterMicroseconds))" : ""))
        }
        if lossPercent > 0 { words.append("loss \(Self.number(lossPercent))%") }
        if duplicatePercent > 0 { words.append("duplicate \(Self.number(duplicatePercent))%") }
        if rateKilobitsPerSecond > 0 { words.append("rate \(Self.rate(rateKilobitsPerSecond))") }
        return words.isEmpty ? "nothing" : words.joined(separator: ", ")
    }

    private static func time(_ microseconds: UInt32) -> String { "\(number(Double(microseconds) / 1000))ms" }

    private static func rate(_ kilobits: UInt32) -> String {
        kilobits >= 1_000_000 && kilobits % 100_000 == 0
            ? "\(number(Double(kilobits) / 1e6))gbit"
            : kilobits >= 1000 && kilobits % 100 == 0 ? "\(number(Double(kilobits) / 1000))mbit" : "\(kilobits)kbit"
    }

    private static func number(_ value: Double) -> String {
        value == value.rounded() ? "\(Int(value))" : "\(value)"
    }
}
