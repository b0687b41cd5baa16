import AgentProtocol
import WireFormats

/// What `swiftlet-fabric` has told of a packet that it has sent.
struct TraceSightings {
    enum Kind: Equatable {
        case question, accepted, reset, answered
        /// A message of ICMP that quotes it.
        case refused(kind: Int64, code: Int64)
    }

    struct Frame {
        var kind: Kind
        var nanoseconds: UInt64
        /// With `@` before it, it is one of the computer's that the fabric is in.
        var device: String
        /// Whether the kernel sent it out at the device; otherwise it arrived there.
        var isSent: Bool
        var isForOthers: Bool
        var text: String
        var from: String
    }

    struct Loss {
        var isAnswer: Bool
        var rule: PacketTrace.Rule
    }

    /// How the computer that the fabric is in sends on what is for the destination.
    enum WayOutside: Equatable {
        case over(device: String, gateway: String?)
        /// The address is its own.
        case own
        /// It does not, and why.
        case none(String)
    }

    /// The device by which the packet was to go.
    var firstDevice = ""
    var text = ""
    var sourcePort: UInt16?
    /// Why that device has not taken it.
    var notTaken: String?
    var tellsRules = false
    /// Nil where nothing could be seen there.
    var wayOutside: WayOutside?
    /// What was answered to a question for a name: how, and with which addresses. Nil: nothing.
    var answerCode: Int64?
    var addresses: [IPAddress] = []
    /// The machine's own rules that have let it pass.
    var permissions: [PacketTrace.Rule] = []
    var frames: [Frame] = []
    var losses: [Loss] = []

    /// Lines that say nothing are passed over.
    init(_ lines: some Sequence<some Collection<UInt8>>) {
        for line in lines {
            guard let document = try? JSONParser.parse(Array(line)) else { continue }
            if let device = document.text("sent_over") {
                firstDevice = device
                text = Self.packet(document.text("text") ?? "")
                sourcePort = document.integer("from_port").flatMap { UInt16(exactly: $0) }
                notTaken = document.text("not_taken")
                tellsRules = document.boolean("tells_rules") ?? false
                wayOutside = document["way_outside"].map(Self.way)
                answerCode = document.integer("answer_code")
                addresses = (document["addresses"]?.elements ?? []).compactMap { $0.text.flatMap { IPAddress($0) } }
            } else if let kind = Self.kind(document), let device = document.text("device") {
                frames.append(
                    Frame(
                        kind: kind, nanoseconds: UInt64(clamping: document.integer("nanoseconds") ?? 0),
                        device: (document.boolean("is_outside") == true ? "@" : "") + device,
                        isSent: document.boolean("is_sent") ?? false,
                        isForOthers: document.boolean("is_for_others") ?? false,
                        text: Self.packet(document.text("text") ?? ""), from: document.text("from") ?? ""))
            } else if let decided = document.text("dropped") ?? document.text("accepted"),
                let family = document.text("family"),
                let table = document.text("table"), let chain = document.text("chain")
            {
                let rule = PacketTrace.Rule(
                    family: family, table: table, chain: chain,
                    handle: document.integer("handle").flatMap { UInt64(exactly: $0) },
                    comment: document.text("comment"))
                if document.text("dropped") == nil {
                    if decided == "question" { permissions.append(rule) }
                } else {
                    losses.append(Loss(isAnswer: decided == "answer", rule: rule))
                }
            }
        }
    }

    private static func way(_ document: JSONValue) -> WayOutside {
        if let error = document.text("error") { return .none(error) }
        if document.boolean("is_own") == true { return .own }
        return .over(device: document.text("device") ?? "", gateway: document.text("gateway"))
    }

    private static func kind(_ document: JSONValue) -> Kind? {
        switch document.text("seen") {
        case "question": .question
        case "accepted": .accepted
        case "reset": .reset
        case "answered": .answered
        case "refused": .refused(kind: document.integer("kind") ?? -1, code: document.integer("code") ?? -1)
        default: nil
        }
    }

    /// Without its length.
    private static func packet(_ text: String) -> String {
        text.lastIndex(of: ",").map { String(text[..<$0]) } ?? text
    }
}
