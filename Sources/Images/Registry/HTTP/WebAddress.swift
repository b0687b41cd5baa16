/// An http or https address: where a request goes, and whose it is.
struct WebAddress: Hashable, Sendable {
    let isSecure: Bool
    /// Lower case; an IPv6 address has its brackets.
    let host: String
    let port: UInt16
    /// Begins with a slash; with the query.
    let pathAndQuery: String

    static let maximumBytes = 8192

    init(isSecure: Bool, host: String, port: UInt16?, pathAndQuery: String = "/") {
        self.isSecure = isSecure
        self.host = host
        self.port = port ?? (isSecure ? 443 : 80)
        self.pathAndQuery = pathAndQuery
    }

    /// A full address; nil for anything that is none, names a user, or is too long. The text may come from anywhere.
    init?(_ text: String) {
        guard text.utf8.count <= Self.maximumBytes, text.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            return nil
        }
        guard let mark = text.firstRange(of: "://") else { return nil }
        let scheme = text[..<mark.lowerBound].lowercased()
        guard scheme == "https" || scheme == "http" else { return nil }
        let rest = text[mark.upperBound...]
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        guard let (host, port) = Self.splitHost(rest[..<end].lowercased()) else { return nil }
        var path = String(rest[end...].prefix { $0 != "#" })
        if !path.hasPrefix("/") { path = "/" + path }
        self.init(isSecure: scheme == "https", host: host, port: port, pathAndQuery: path)
    }

    /// What a `Location` or `Link` of an answer from here means.
    /// Source: RFC 9110 §10.2.2; RFC 3986 §5.2, without merging of paths, which no registry uses.
    func resolving(_ location: String) -> WebAddress? {
        if location.hasPrefix("//") { return WebAddress((isSecure ? "https:" : "http:") + location) }
        if location.hasPrefix("/") { return WebAddress(origin + location) }
        if location.hasPrefix("?") { return WebAddress(origin + path + location) }
        return WebAddress(location)
    }

    /// The same host with another path; the query is encoded.
    func appending(_ path: String, query: [(String, String)] = []) -> WebAddress {
        let (old, oldQuery) = (self.path, self.query)
        var text = (old.hasSuffix("/") && path.hasPrefix("/") ? String(old.dropLast()) : old) + path
        var items = query.map { "\(Self.encoded($0.0))=\(Self.encoded($0.1))" }
        if let oldQuery, !oldQuery.isEmpty { items.insert(oldQuery, at: 0) }
        if !items.isEmpty { text += "?" + items.joined(separator: "&") }
        return WebAddress(isSecure: isSecure, host: host, port: port, pathAndQuery: text)
    }

    var path: String { String(pathAndQuery.prefix { $0 != "?" }) }
    private var query: String? { pathAndQuery.firstIndex(of: "?").map { String(pathAndQuery[$0...].dropFirst()) } }

    /// Host and, where it is not the usual one, port.
    var authority: String { port == (isSecure ? 443 : 80) ? host : "\(host):\(port)" }
    /// What credentials belong to.
    var origin: String { "\(isSecure ? "https" : "http")://\(authority)" }
    var text: String { origin + pathAndQuery }

    var isLoopback: Bool { Self.isLoopback(host) }

    static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host.hasSuffix(".localhost") || host == "[::1]" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// Splits `host[:port]`; nil for anything that is none.
    /// Source: distribution/reference, "domain".
    static func splitHost(_ text: String) -> (host: String, port: UInt16?)? {
        var host = text[...]
        var port: UInt16?
        let bracket = text.lastIndex(of: "]")
        if let colon = text.lastIndex(of: ":"), bracket.map({ colon > $0 }) ?? true {
            let digits = text[text.index(after: colon)...]
            guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt16(digits), number > 0 else {
                return nil
            }
            port = number
            host = text[..<colon]
        }
        guard (1...253).contains(host.utf8.count) else { return nil }
        if host.hasPrefix("[") {
            let inner = host.dropFirst().dropLast()
            guard host.hasSuffix("]"), inner.contains(":"),
                inner.utf8.allSatisfy({ "0123456789abcdef:.".utf8.contains($0) })
            else { return nil }
        } else {
            for label in host.split(separator: ".", omittingEmptySubsequences: false) {
                let bytes = Array(label.utf8)
                guard (1...63).contains(bytes.count), bytes.first != 0x2d, bytes.last != 0x2d,
                    bytes.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x2d })
                else { return nil }
            }
        }
        return (String(host), port)
    }

    /// Percent-encoding of everything but RFC 3986's unreserved characters.
    static func encoded(_ text: String) -> String {
        var result: [UInt8] = []
        let digits = Array("0123456789ABCDEF".utf8)
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f, 0x7e: result.append(byte)
            default: result += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
