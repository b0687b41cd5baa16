/// The way of one packet through the fabric, and of what came of it.
public struct PacketTrace: Sendable, Equatable {
    public struct End: Sendable, Equatable {
        /// Empty where a name has none.
        public var address: String
        /// Nil where the transport has none.
        public var port: UInt16?
        /// The machine whose address it is, or the network whose gateway it is; or the name that was asked for. Nil: it is elsewhere.
        public var name: String?

        public init(address: String, port: UInt16?, name: String?) {
            self.address = address
            self.port = port
            self.name = name
        }
    }

    public struct Step: Sendable, Equatable {
        /// Since the packet was sent.
        public var nanoseconds: UInt64
        /// A machine's interface, its wire at a network or where that is impaired, a network, `outside`, or `this computer`.
        public var place: String
        /// What happens there, in plain words.
        public var words: String
        /// The packet, as it is there.
        public var packet: String
        /// Whether it is what came of the packet, and not that itself.
        public var isAnswer: Bool
    }

    /// Of nftables.
    public struct Rule: Sendable, Equatable {
        public var family: String
        public var table: String
        public var chain: String
        /// Nil where it is what a chain does with packets that none of its rules has decided about.
        public var handle: UInt64?
        public var comment: String?
    }

    public enum Outcome: String, Sendable {
        /// Whoever was asked has answered.
        case answered
        /// A datagram has come to its machine, which has not refused it.
        case delivered
        /// It has come to its machine, and nothing takes it there.
        case refused
        /// Somebody on the way says that it cannot get there.
        case unreachable
        /// A rule of the fabric has dropped it.
        case dropped
        /// It was last seen somewhere on the way.
        case lost
        /// It has come to its machine, which has said nothing.
        case unanswered
        /// The answer has not come back.
        case answerLost = "answer-lost"
        /// There is nobody to whom it could be handed.
        case unsent
        /// The machine is not told which address the name has.
        case unnamed
        /// From outside: no machine has the port.
        case unpublished
    }

    public var transport: String
    public var from: End
    public var to: End
    public var steps: [Step] = []
    public var outcome = Outcome.unsent
    /// In plain words.
    public var explanation = ""
    /// Where it, or the answer, was last seen, when that did not arrive.
    public var lastPlace: String?
    /// What has dropped it.
    public var rule: Rule?
    /// Whether the kernel says which rules drop packets.
    public var tellsRules = true
    /// Whether what is outside and this computer are the emulator's.
    public var isInEmulatedHost = false

    public init(transport: String, from: End, to: End) {
        self.transport = transport
        self.from = from
        self.to = to
    }

    /// Whether a connection would come about.
    public var isSuccess: Bool { outcome == .answered || outcome == .delivered }
}
