import FabricProtocol
import WireFormats

/// A connection that a machine has with what is not in its network, or somebody else has with it.
public struct Flow: Sendable {
    public struct End: Sendable {
        public var address: String
        /// Nil where the transport has none.
        public var port: UInt16?
        /// The machine whose address it is.
        public var machine: String?
    }

    public struct Counts: Sendable {
        public var packets: UInt64
        public var bytes: UInt64
    }

    /// `tcp`, `udp`, or a number.
    public var transport: String
    public var state: String
    /// Whoever began it.
    public var source: End
    /// Whoever answers.
    public var destination: End
    /// Whom the first has asked, where that is another one: by a published port.
    public var asked: End?
    /// As whom the answerer sees the first, where that is another one.
    public var seenAs: End?
    /// What the first has sent, and got; nil where it was not counted.
    public var sent: Counts?
    public var received: Counts?
    public var ageMilliseconds: UInt64?
    /// Until it is forgotten.
    public var secondsLeft: UInt64?

    /// - Parameters:
    ///   - line: as `swiftlet-fabric` tells it.
    ///   - names: of machines, by their addresses.
    /// - Returns: nil for what is no connection.
    init?(_ line: some Collection<UInt8>, names: [String: String]) {
        guard let document = try? JSONParser.parse(Array(line)), let question = document["question"],
            let answer = document["answer"], let transport = document.integer("transport"),
            let asker = Self.end(question, "from", names), let asked = Self.end(question, "to", names),
            let answerer = Self.end(answer, "from", names), let seen = Self.end(answer, "to", names)
        else { return nil }
        self.transport = [1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6", 132: "sctp"][transport] ?? "\(transport)"
        let hasAnswered = document.boolean("has_answered") ?? false
        state = Self.state(document.integer("state"), hasAnswered)
        source = asker
        destination = answerer
        self.asked = (asked.address, asked.port) == (answerer.address, answerer.port) ? nil : asked
        seenAs = (seen.address, seen.port) == (asker.address, asker.port) ? nil : seen
        sent = Self.counts(question)
        received = Self.counts(answer)
        ageMilliseconds = document.integer("age_milliseconds").map { UInt64(clamping: $0) }
        secondsLeft = document.integer("seconds_left").map { UInt64(clamping: $0) }
    }

    /// Source: Linux `linux/netfilter/nf_conntrack_tcp.h`.
    private static func state(_ number: Int64?, _ hasAnswered: Bool) -> String {
        let states = [
            "none", "opening", "opening", "established", "closing", "closing", "closing", "closed", "closed", "opening",
        ]
        if let place = number.flatMap({ Int(exactly: $0) }), states.indices.contains(place) { return states[place] }
        return hasAnswered ? "answered" : "unanswered"
    }

    private static func end(_ way: JSONValue, _ name: String, _ names: [String: String]) -> End? {
        guard let address = way.text(name) else { return nil }
        let port = way.integer(name + "_port").flatMap { UInt16(exactly: $0) }
        return End(address: address, port: port, machine: names[address])
    }

    private static func counts(_ way: JSONValue) -> Counts? {
        guard let packets = way.integer("frames"), let bytes = way.integer("bytes") else { return nil }
        return Counts(packets: UInt64(clamping: packets), bytes: UInt64(clamping: bytes))
    }
}
