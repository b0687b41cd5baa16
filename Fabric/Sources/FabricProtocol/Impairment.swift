import AgentProtocol
import WireFormats

/// What becomes of frames on the last stretch of a machine's wire, which is next to its network, or of a wire between two networks, next to the
/// second.
public struct Impairment: Equatable, Sendable {
    /// What becomes of those that go one way.
    public struct Way: Equatable, Sendable {
        /// Ten seconds.
        public static let mostDelayMicroseconds: UInt32 = 10_000_000
        /// All of them.
        public static let mostMillipercent: UInt32 = 100_000
        /// Ten gigabits.
        public static let mostKilobitsPerSecond: UInt32 = 10_000_000

        /// How much later each arrives.
        public var delayMicroseconds: UInt32 = 0
        /// By how much that varies, at most by the delay: nothing arrives before it was sent.
        public var jitterMicroseconds: UInt32 = 0
        /// Thousandths of a percent: how many are lost, by chance.
        public var lossMillipercent: UInt32 = 0
        /// How many arrive twice.
        public var duplicateMillipercent: UInt32 = 0
        /// 0: as many as come.
        public var kilobitsPerSecond: UInt32 = 0

        public init() {}

        /// Whether it does nothing to anybody.
        public var isPlain: Bool { self == Way() }
    }

    /// What is sent to the machine, or to the first network.
    public var toMachine = Way()
    /// What the machine sends, or is sent to the second network.
    public var toNetwork = Way()

    public init() {}

    public var isPlain: Bool { toMachine.isPlain && toNetwork.isPlain }
}

extension Impairment {
    init(_ document: JSONValue) throws(FabricFault) {
        let reader = try ObjectReader(document, "an impairment", ["to_machine", "to_network"])
        if reader.has("to_machine"), let way = document["to_machine"] { toMachine = try Way(way) }
        if reader.has("to_network"), let way = document["to_network"] { toNetwork = try Way(way) }
    }

    var document: JSONValue {
        .object([JSONMember("to_machine", toMachine.document), JSONMember("to_network", toNetwork.document)])
    }
}

extension Impairment.Way {
    init(_ document: JSONValue) throws(FabricFault) {
        let reader = try ObjectReader(
            document, "a way of an impairment",
            ["delay_us", "jitter_us", "loss_millipercent", "duplicate_millipercent", "rate_kbit"])
        delayMicroseconds = try reader.number("delay_us", in: 0...Self.mostDelayMicroseconds)
        jitterMicroseconds = try reader.number("jitter_us", in: 0...delayMicroseconds)
        lossMillipercent = try reader.number("loss_millipercent", in: 0...Self.mostMillipercent)
        duplicateMillipercent = try reader.number("duplicate_millipercent", in: 0...Self.mostMillipercent)
        kilobitsPerSecond = try reader.number("rate_kbit", in: 0...Self.mostKilobitsPerSecond)
    }

    var document: JSONValue {
        .object([
            JSONMember("delay_us", .integer(Int64(delayMicroseconds))),
            JSONMember("jitter_us", .integer(Int64(jitterMicroseconds))),
            JSONMember("loss_millipercent", .integer(Int64(lossMillipercent))),
            JSONMember("duplicate_millipercent", .integer(Int64(duplicateMillipercent))),
            JSONMember("rate_kbit", .integer(Int64(kilobitsPerSecond))),
        ])
    }
}
