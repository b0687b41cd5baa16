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

    /// The device by which the packet was to go.
    var firstDevice = ""
    var text = ""
    var sourcePort: UInt16?
    /// Why that device has not taken it.
    var notTaken: String?
    var tellsRules = false
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
            } else if let kind = Self.kind(document), let device = document.text("device") {
                frames.append(
                    Frame(
                        kind: kind, nanoseconds: UInt64(clamping: document.integer("nanoseconds") ?? 0), device: device,
                        isSent: document.boolean("is_sent") ?? false,
                        isForOthers: document.boolean("is_for_others") ?? false,
                        text: Self.packet(document.text("text") ?? ""), from: document.text("from") ?? ""))
            } else if let dropped = document.text("dropped"), let family = document.text("family"),
                let table = document.text("table"), let chain = document.text("chain")
            {
                let rule = PacketTrace.Rule(
                    family: family, table: table, chain: chain,
                    handle: document.integer("handle").flatMap { UInt64(exactly: $0) },
                    comment: document.text("comment"))
                losses.append(Loss(isAnswer: dropped == "answer", rule: rule))
            }
        }
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
