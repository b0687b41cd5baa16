/// A question for the addresses of a name.
public struct NameQuestion: Equatable, Sendable {
    /// Source: RFC 1035 §2.3.4.
    private static let mostBytes = 253

    /// Labels of letters, digits, `-` and `_` with points between them.
    public let name: String
    /// Whether addresses of IPv6 are asked for; otherwise those of IPv4.
    public let isVersion6: Bool

    /// Nil for what is no name.
    public init?(_ name: String, isVersion6: Bool) {
        let labels = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard (1...Self.mostBytes).contains(name.utf8.count) else { return nil }
        for label in labels {
            let isRight = label.allSatisfy {
                $0 == 0x2d || $0 == 0x5f || (0x30...0x39).contains($0) || (0x41...0x5a).contains($0)
                    || (0x61...0x7a).contains($0)
            }
            guard isRight, (1...63).contains(label.count) else { return nil }
        }
        self.name = name
        self.isVersion6 = isVersion6
    }
}
