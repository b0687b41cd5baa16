/// A chain of somebody else's rules through which all goes that the computer forwards.
public struct ForwardingChain: Equatable, Sendable, CustomStringConvertible {
    public let family: String
    public let table: String
    public let name: String

    /// As nftables is told.
    public var description: String { family + " " + table + " " + name }

    /// Those that drop what none of their rules accepts.
    /// - Parameter listing: what `nft list chains` prints.
    public static func dropping(_ listing: String) -> [ForwardingChain] {
        var chains: [ForwardingChain] = []
        var (family, table, name) = ("", "", "")
        for line in listing.utf8.split(separator: 0x0a) {
            let words = line.split { $0 == 0x20 || $0 == 0x09 }.map { String(Substring($0)) }
            switch words.first {
            case "table" where words.count >= 3: (family, table) = (words[1], words[2])
            case "chain" where words.count >= 2: name = words[1]
            case "type":
                let isForwarding = zip(words, words.dropFirst()).contains { $0 == "hook" && $1 == "forward" }
                let drops = zip(words, words.dropFirst()).contains { $0 == "policy" && $1 == "drop;" }
                // Of bridges nothing is routed.
                if isForwarding, drops, ["ip", "ip6", "inet"].contains(family) {
                    chains.append(ForwardingChain(family: family, table: table, name: name))
                }
            default: break
            }
        }
        return chains
    }

    /// Whether rules name a link that begins so.
    public static func names(_ rules: String, _ prefix: String) -> Bool {
        rules.utf8.split { $0 == 0x22 || $0 <= 0x20 }.contains { $0.starts(with: prefix.utf8) }
    }
}
