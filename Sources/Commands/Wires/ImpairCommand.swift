import ArgumentParser
import FabricProtocol
import Fleet

struct ImpairCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "impair",
        abstract: "Make the wire of a machine, or what is between two networks, slow, lossy or narrow, while they run.",
        discussion: """
            What is said counts at once, for packets that come from then on, in place of what was said before: what is not said is
            not so. It stays whenever the machine begins again, until --off. Each way is impaired, unless --direction says which:
            with --delay 80ms an answer takes 160 ms longer. Without an option: what is so, and what has become of packets.

            Examples:
              swiftlet impair web --delay 80ms --jitter 10ms --loss 1.5
              swiftlet impair web:eth1 --rate 10mbit --direction to-machine
              swiftlet impair web --off
              swiftlet impair between office and dmz --delay 40ms
              swiftlet impair between office and dmz --loss 1 --direction to-dmz
              swiftlet impair
            """)

    @Option(help: ArgumentHelp("How much later packets arrive: up to 10s.", valueName: "time")) var delay: String?
    @Option(help: ArgumentHelp("By how much that varies, at most by the delay.", valueName: "time")) var jitter: String?
    @Option(help: ArgumentHelp("How many of a hundred are lost, by chance.", valueName: "percent")) var loss: String?
    @Option(help: ArgumentHelp("How many of a hundred arrive twice.", valueName: "percent")) var duplicate: String?
    @Option(help: ArgumentHelp("How much passes in a second: 400kbit, 10mbit, 1gbit.", valueName: "rate"))
    var rate: String?
    @Option(
        help: ArgumentHelp(
            "to-machine is what is sent to it, to-network what it sends, both is both; between networks to-NETWORK.",
            valueName: "way"))
    var direction = "both"
    @Flag(help: "Have it be a plain wire again.") var off = false
    @Argument(
        help: ArgumentHelp("A machine, MACHINE:INTERFACE, or the word \"between\".", valueName: "wire"),
        completion: Completions.machines)
    var target: String?
    @Argument(
        help: ArgumentHelp("Behind \"between\": two networks.", valueName: "network and network"),
        completion: Completions.networkNames)
    var others: [String] = []
    @OptionGroup var format: FormatOptions

    private var isSaid: Bool { ![delay, jitter, loss, duplicate, rate].allSatisfy { $0 == nil } }

    func validate() throws {
        guard !(off && isSaid) else { throw ValidationError("--off takes everything away, and nothing goes with it") }
        guard target != nil || !(off || isSaid) else {
            throw ValidationError("say which wire: a machine, MACHINE:INTERFACE, or between NETWORK and NETWORK")
        }
        guard (target != "between" && others.isEmpty) || networks != nil else {
            throw ValidationError(
                target == "between"
                    ? "say which networks: swiftlet impair between NETWORK and NETWORK"
                    : "one wire at a time, not \(([target ?? ""] + others).joined(separator: " "))")
        }
    }

    /// The two that are named; nil where a machine is.
    var networks: (one: String, other: String)? {
        guard target == "between" else { return nil }
        let names = others.count == 3 && others[1] == "and" ? [others[0], others[2]] : others
        return names.count == 2 && names[1] != "and" ? (names[0], names[1]) : nil
    }

    /// Which ways are meant, to the inner end and to the outer one of the wire.
    /// - Parameter ends: what the ways are called by.
    func ways(_ ends: (inner: String, outer: String)) throws -> (toInner: Bool, toOuter: Bool) {
        switch direction {
        case "both": return (true, true)
        case "to-\(ends.inner)": return (true, false)
        case "to-\(ends.outer)": return (false, true)
        default:
            throw CommandFailure(
                "usage.direction", "--direction is to-\(ends.inner), to-\(ends.outer) or both, not \(direction)")
        }
    }

    func run() throws {
        guard let target, off || isSaid else { return try list() }
        let way = try off ? WireImpairment.Way() : wanted()
        func change(_ impairment: inout WireImpairment, _ ways: (toInner: Bool, toOuter: Bool)) {
            if ways.toInner { impairment.toMachine = way }
            if ways.toOuter { impairment.toNetwork = way }
        }
        guard let networks else {
            let ways = try ways(("machine", "network"))
            return try Product.fleet.impair(target) { change(&$0, ways) }
        }
        let forth = try ways((networks.one, networks.other))
        try Product.fleet.impair(between: networks.one, and: networks.other) { impairment, first in
            change(&impairment, first == networks.one ? forth : (forth.toOuter, forth.toInner))
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

    /// With a unit: other programs take bare numbers as microseconds, or as seconds.
    static func microseconds(_ text: String, _ option: String) throws -> UInt32 {
        guard text.last?.isNumber != true || Double(text) == 0 else {
            throw CommandFailure("usage.time", "\(option) takes a unit: \(text)ms, or \(text)s")
        }
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
        /// Nil where it is between networks.
        var machine: String?
        var interface: String?
        var network: String?
        /// The two networks, of which the first stands for the machine; nil where it is a machine's.
        var between: [String]?
        var toMachine: WireImpairment.Way
        var toNetwork: WireImpairment.Way
        /// Nil where the machine does not run.
        var counts: StretchState?
    }

    private func list() throws {
        let wanted = try networks == nil ? target.map { try Product.fleet.wire($0) } : nil
        let wires = Product.fleet.wires().filter { wire in
            guard wire.impairment != nil else { return false }
            if let networks { return wire.between.map { Set($0) == [networks.one, networks.other] } ?? false }
            return wanted.map { $0.machine == wire.machine && $0.place == wire.interface } ?? true
        }
        if format.isJSON {
            return Output.json(
                wires.map { wire in
                    let impairment = wire.impairment ?? WireImpairment()
                    let isBetween = wire.between != nil
                    return Document(
                        machine: isBetween ? nil : wire.machine, interface: isBetween ? nil : wire.interface,
                        network: isBetween ? nil : wire.network, between: wire.between,
                        toMachine: impairment.toMachine, toNetwork: impairment.toNetwork, counts: wire.stretch)
                })
        }
        var table = Table("WIRE", "DIRECTION", "IMPAIRED BY", "PACKETS", "LOST", "TWICE", "DROPPED")
        for wire in wires {
            guard let impairment = wire.impairment else { continue }
            let ends = wire.between ?? ["machine", "network"]
            let place =
                wire.between.map { "between \($0[0]) and \($0[1])" } ?? "\(wire.machine):\(wire.interface)"
            let ways = [
                ("to-\(ends[0])", impairment.toMachine, wire.stretch?.toMachine),
                ("to-\(ends[1])", impairment.toNetwork, wire.stretch?.toNetwork),
            ]
            for (name, way, counts) in ways {
                let numbers = counts.map { [$0.frames, $0.lost, $0.duplicated, $0.dropped].map { "\($0)" } }
                table.add([place, name, way.words] + (numbers ?? ["-", "-", "-", "-"]))
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
