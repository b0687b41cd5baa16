public import AgentProtocol

/// A name that a machine has asked for and may not reach, as dnsmasq writes it down.
public struct RefusedName: Hashable, Sendable {
    /// Source: RFC 1035 §2.3.4.
    private static let mostBytes = 253

    public var name: String
    /// Who has asked.
    public var client: IPAddress

    /// Reads a line: `… dnsmasq[7]: 11 10.9.0.2/41560 config other.test is NXDOMAIN`. Nil for any other, and for names of one part,
    /// which are none outside.
    ///
    /// Trust: the name is a guest's, and may have blanks in it: then it is none.
    public init?(line: some Collection<UInt8>) {
        var rest = Array(line)[...]
        while rest.count > 3, !rest.starts(with: "]: ".utf8) { rest.removeFirst() }
        let words = rest.dropFirst(3).split(separator: 0x20, omittingEmptySubsequences: false)
        guard words.count == 6, words[2].elementsEqual("config".utf8), words[4].elementsEqual("is".utf8),
            words[5].elementsEqual("NXDOMAIN".utf8), words[3].contains(UInt8(ascii: ".")),
            words[3].count <= Self.mostBytes,
            let client = IPAddress(String(decoding: words[1].prefix { $0 != UInt8(ascii: "/") }, as: UTF8.self))
        else { return nil }
        name = String(decoding: words[3], as: UTF8.self)
        self.client = client
    }
}
