import WireFormats

/// What two appliances let through of the same traffic.
public struct ShadowReport: Sendable, Encodable {
    public enum Verdict: String, Sendable, Encodable {
        case passed
        /// It came out with other addresses or ports.
        case changed
        case held
    }

    /// Frames on which they do not agree, and that look alike to people.
    public struct Difference: Sendable, Encodable {
        public var frames: String
        /// From the machine, or from the first of two networks.
        public var isOutward: Bool
        public var count: UInt64
        /// What became of them in the appliance that is in the way, and in the other.
        public var present: Verdict
        public var shadow: Verdict
    }

    /// Frames that went in, each way.
    public var outward: UInt64
    public var inward: UInt64
    /// On which both agree.
    public var passed: UInt64
    public var changed: UInt64
    public var held: UInt64
    public var differing: UInt64
    /// That were more than could be looked at.
    public var unseen: UInt64
    /// The most frequent.
    public var differences: [Difference]

    /// Whether anything went by, all of it was looked at, and the same became of everything.
    public var isAgreed: Bool { outward + inward > 0 && differing == 0 && unseen == 0 }

    init(_ document: JSONValue) {
        func count(_ name: String, _ value: JSONValue = document) -> UInt64 {
            UInt64(clamping: value.integer(name) ?? 0)
        }
        (outward, inward) = (count("outward"), count("inward"))
        (passed, changed, held) = (count("passed"), count("changed"), count("held"))
        (differing, unseen) = (count("differing"), count("unseen"))
        differences = (document["differences"]?.elements ?? []).map { difference in
            Difference(
                frames: difference.text("frames") ?? "", isOutward: difference.boolean("outward") ?? false,
                count: count("count", difference),
                present: Verdict(rawValue: difference.text("present") ?? "") ?? .held,
                shadow: Verdict(rawValue: difference.text("shadow") ?? "") ?? .held)
        }
    }
}
