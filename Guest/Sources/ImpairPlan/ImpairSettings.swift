public import AgentProtocol
public import ApplianceGuest

/// What an impairing appliance is told, as types that can hold nothing else. Fields: Documentation/impair.md.
public struct ImpairSettings: Equatable, Sendable {
    /// What becomes of packets on one way.
    public struct Way: Equatable, Sendable {
        public let delayMilliseconds: UInt64
        public let jitterMilliseconds: UInt64
        /// Thousandths of a percent.
        public let loss: UInt64
        public let duplicates: UInt64
        /// Nil: as many as come.
        public let kilobitsPerSecond: UInt64?

        init(_ fields: SettingsFields, _ group: ByteString) throws(SettingsFault) {
            delayMilliseconds = try fields.integer(group + ".delay-ms", in: 0...10_000) ?? 0
            jitterMilliseconds = try fields.integer(group + ".jitter-ms", in: 0...10_000) ?? 0
            guard jitterMilliseconds <= delayMilliseconds else {
                throw SettingsFault(group + ".jitter-ms", "is more than delay-ms; nothing arrives before it was sent")
            }
            loss = try Self.share(fields, group + ".loss")
            duplicates = try Self.share(fields, group + ".duplicate")
            let rate = try fields.integer(group + ".rate-kbit", in: 0...10_000_000) ?? 0
            kilobitsPerSecond = rate == 0 ? nil : rate
        }

        private static func share(_ fields: SettingsFields, _ path: ByteString) throws(SettingsFault) -> UInt64 {
            guard let text = fields.value(path) else { return 0 }
            let halves = text.split(UInt8(ascii: "."))
            guard (1...2).contains(halves.count), halves.allSatisfy({ (1...3).contains($0.count) }),
                let whole = Digits.number(halves[0]),
                var thousandths = halves.count == 2 ? Digits.number(halves[1]) : 0
            else { throw SettingsFault(path, "is no share of a hundred, as 0.5 is") }
            if halves.count == 2 { for _ in halves[1].count..<3 { thousandths *= 10 } }
            let share = whole * 1000 + thousandths
            guard share <= 100_000 else { throw SettingsFault(path, "is more than 100 of a hundred") }
            return share
        }
    }

    public let toNetwork: Way
    public let toMachine: Way

    /// - Throws: the first field that is wrong, and why; nothing is to be done then.
    public init(_ fields: SettingsFields) throws(SettingsFault) {
        toNetwork = try Way(fields, "to-network")
        toMachine = try Way(fields, "to-machine")
    }
}

extension ImpairSettings {
    public static let tc: ByteString = "/usr/sbin/tc"
    public static let interfaces: [ByteString] = ["inside", "outside"]
    /// Of each way; what is more is lost. The kernel's own number for it.
    private static let mostWaiting: ByteString = "1000"

    /// What `tc -batch` reads to make the wire: whatever comes in at one interface goes out at the other, by a queue that impairs. Probes,
    /// which ask whether anything passes, go past it. Source: tc(8), tc-netem(8), tc-mirred(8).
    public var making: ByteString {
        var lines: ByteString = ""
        for (place, interface) in Self.interfaces.enumerated() {
            // Everything to the second band, which waits for the first.
            lines += "qdisc replace dev " + interface + " root handle 1: prio bands 2 priomap"
            for _ in 0..<16 { lines += " 1" }
            lines += "\n" + line("replace", interface)
            lines += "filter add dev " + interface + " parent 1: protocol 0x88b5 prio 1 handle 1 matchall classid 1:1\n"
            lines += "qdisc replace dev " + interface + " clsact\n"
            lines +=
                "filter add dev " + interface + " ingress protocol all prio 1 handle 1 matchall action mirred egress "
            lines += "redirect dev " + Self.interfaces[1 - place] + "\n"
        }
        return lines
    }

    /// What it reads to change the queues; packets that wait in them stay.
    public var changing: ByteString {
        var lines: ByteString = ""
        for interface in Self.interfaces { lines += line("change", interface) }
        return lines
    }

    private func line(_ verb: ByteString, _ interface: ByteString) -> ByteString {
        let way = interface == "outside" ? toNetwork : toMachine
        var line: ByteString =
            "qdisc " + verb + " dev " + interface + " parent 1:2 handle 20: netem limit " + Self.mostWaiting
        line += " delay " + ByteString(way.delayMilliseconds) + "ms " + ByteString(way.jitterMilliseconds) + "ms"
        line += " loss random " + Self.percent(way.loss) + " duplicate " + Self.percent(way.duplicates)
        // A rate of zero is none.
        line += " rate " + ByteString(way.kilobitsPerSecond ?? 0) + "kbit\n"
        return line
    }

    private static func percent(_ share: UInt64) -> ByteString {
        let rest = share % 1000
        let zeros: ByteString = rest < 10 ? "00" : rest < 100 ? "0" : ""
        return ByteString(share / 1000) + "." + zeros + ByteString(rest) + "%"
    }
}
