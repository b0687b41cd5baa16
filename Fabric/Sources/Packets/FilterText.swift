import AgentProtocol
import FabricProtocol

/// Why a filter is none, and at which character, counted from 1.
public struct FilterFault: Error, Equatable, Sendable, CustomStringConvertible {
    public let column: Int
    public let reason: String

    public var description: String { "\(reason) (at character \(column) of the filter)" }
}

/// Reads a filter as tcpdump's users write it: `tcp port 80 and not host 10.190.0.2`.
///
/// `and` and `or` bind alike, from the left; `not` binds most. A value without a word before it takes the words of the last one:
/// `port 80 or 443`. Source: pcap-filter(7), of which it is a part.
struct FilterText {
    static let mostBytes = 4096
    static let mostTests = 64
    private static let mostDepth = 32

    private struct Word {
        let text: String
        let column: Int
    }

    /// What stands before a value.
    private struct Qualifiers {
        var protocolName: String?
        var side: FilterTest.Side?
        var kind: String?

        var isEmpty: Bool { protocolName == nil && side == nil && kind == nil }
    }

    private static let protocols = ["ether", "ip", "ip6", "arp", "tcp", "udp", "sctp", "icmp", "icmp6"]
    private static let kinds = ["host", "net", "port", "portrange"]
    private static let operators = ["and", "&&", "or", "||", ")"]

    private var words: [Word] = []
    private var place = 0
    private var tests = 0
    private var depth = 0
    private var last = Qualifiers()
    private let endColumn: Int

    /// Nil for an empty text: everything.
    static func parse(_ text: String) throws(FilterFault) -> FilterExpression? {
        var parser = try FilterText(text)
        if parser.words.isEmpty { return nil }
        let expression = try parser.expression()
        if let word = parser.peek { throw parser.fault("\"\(word.text)\" is not expected here", at: word) }
        return expression
    }

    private init(_ text: String) throws(FilterFault) {
        let bytes = Array(text.utf8)
        endColumn = bytes.count + 1
        guard bytes.count <= Self.mostBytes else {
            throw FilterFault(column: Self.mostBytes + 1, reason: "a filter has at most \(Self.mostBytes) characters")
        }
        if let place = bytes.firstIndex(where: { !(0x20...0x7e).contains($0) && $0 != 0x09 && $0 != 0x0a }) {
            throw FilterFault(column: place + 1, reason: "a filter is written in ASCII")
        }
        var start = 0
        while start < bytes.count {
            let byte = bytes[start]
            var end = start + 1
            if byte <= 0x20 {
                start = end
                continue
            }
            if Self.isSign(byte) {
                if byte == 0x26 || byte == 0x7c, end < bytes.count, bytes[end] == byte { end += 1 }
            } else {
                while end < bytes.count, bytes[end] > 0x20, !Self.isSign(bytes[end]) { end += 1 }
            }
            words.append(Word(text: String(decoding: bytes[start..<end], as: UTF8.self), column: start + 1))
            start = end
        }
    }

    /// `(`, `)`, `!`, `&` and `|`.
    private static func isSign(_ byte: UInt8) -> Bool { [0x28, 0x29, 0x21, 0x26, 0x7c].contains(byte) }

    private var peek: Word? { place < words.count ? words[place] : nil }

    private mutating func take(_ wanted: String...) -> Bool {
        guard let word = peek, wanted.contains(word.text) else { return false }
        place += 1
        return true
    }

    private func fault(_ reason: String, at word: Word?) -> FilterFault {
        FilterFault(column: word?.column ?? endColumn, reason: reason)
    }

    // MARK: Grammar

    private mutating func expression() throws(FilterFault) -> FilterExpression {
        var left = try factor()
        while true {
            if take("and", "&&") {
                left = .and(left, try factor())
            } else if take("or", "||") {
                left = .or(left, try factor())
            } else {
                return left
            }
        }
    }

    private mutating func factor() throws(FilterFault) -> FilterExpression {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.mostDepth else {
            throw fault("a filter nests at most \(Self.mostDepth) deep", at: peek)
        }
        if take("not", "!") { return .not(try factor()) }
        let opening = peek
        guard take("(") else { return try primitive() }
        let inner = try expression()
        guard take(")") else { throw fault("a \")\" is missing for the \"(\" at \(opening?.column ?? 1)", at: peek) }
        return inner
    }

    private mutating func primitive() throws(FilterFault) -> FilterExpression {
        let first = peek
        guard let first, !Self.operators.contains(first.text) else {
            throw fault("something to look for is missing, such as host 10.0.0.1 or port 80", at: first)
        }
        tests += 1
        guard tests <= Self.mostTests else {
            throw fault("a filter asks at most \(Self.mostTests) things", at: first)
        }
        var own = Qualifiers()
        if Self.protocols.contains(first.text) {
            own.protocolName = first.text
            place += 1
        }
        if take("src") { own.side = .source } else if take("dst") { own.side = .destination }
        if let word = peek, Self.kinds.contains(word.text) {
            own.kind = word.text
            place += 1
        }
        if own.side == nil, own.kind == nil, let name = own.protocolName,
            peek.map({ Self.operators.contains($0.text) || $0.text == "(" }) ?? true
        {
            return try protocolAlone(name, first)
        }
        guard let value = peek, !Self.operators.contains(value.text) else {
            throw fault("a value is missing, such as 10.0.0.1 or 80", at: peek)
        }
        place += 1
        if own.isEmpty {
            guard !last.isEmpty || IPAddress(value.text) != nil else {
                throw fault("\"\(value.text)\" is no word of a filter; say what it is, such as host or port", at: value)
            }
            own = last
        }
        last = own
        return try test(own, value, first)
    }

    private mutating func protocolAlone(_ name: String, _ word: Word) throws(FilterFault) -> FilterExpression {
        func both(_ type: UInt16, _ number: UInt8) -> FilterExpression {
            .and(.test(.etherType(type)), .test(.transport(number)))
        }
        switch name {
        case "ip": return .test(.etherType(ProtocolNumber.ipv4))
        case "ip6": return .test(.etherType(ProtocolNumber.ipv6))
        case "arp": return .test(.etherType(ProtocolNumber.arp))
        case "icmp": return both(ProtocolNumber.ipv4, ProtocolNumber.icmp)
        case "icmp6": return both(ProtocolNumber.ipv6, ProtocolNumber.icmp6)
        case "ether": throw fault("behind \"ether\" a host follows, such as ether host 02:00:00:00:00:01", at: word)
        default: return .test(.transport(Self.transport(name) ?? 0))
        }
    }

    private static func transport(_ name: String?) -> UInt8? {
        switch name {
        case "tcp": ProtocolNumber.tcp
        case "udp": ProtocolNumber.udp
        case "sctp": ProtocolNumber.sctp
        default: nil
        }
    }
}

extension FilterText {
    // MARK: Values

    private func test(_ words: Qualifiers, _ value: Word, _ first: Word) throws(FilterFault) -> FilterExpression {
        let side = words.side ?? .either
        switch words.kind {
        case "port", "portrange":
            let transport = Self.transport(words.protocolName)
            guard words.protocolName == nil || transport != nil else {
                throw fault("\(words.protocolName ?? "") has no ports", at: first)
            }
            let range = words.kind == "port" ? Self.port(value.text).map { $0...$0 } : Self.ports(value.text)
            guard let range else {
                let wanted =
                    words.kind == "port" ? "a port's number, such as 80" : "a range of ports, such as 6000-6010"
                throw fault("\"\(value.text)\" is not \(wanted)", at: value)
            }
            return .test(.ports(range, side, transport: transport))
        case nil where Self.transport(words.protocolName) != nil:
            let name = words.protocolName ?? ""
            guard Self.port(value.text) != nil else {
                throw fault(
                    "\"\(value.text)\" may not follow \"\(name)\"; src, dst, port or portrange may, as in \(name) port 80",
                    at: value)
            }
            throw fault("say what \"\(value.text)\" is, such as port \(value.text)", at: value)
        default: break
        }
        if words.protocolName == "ether" {
            guard words.kind != "net", let station = Self.station(value.text) else {
                throw fault("\"\(value.text)\" is no hardware address, such as 02:00:00:00:00:01", at: value)
            }
            return .test(.station(station, side))
        }
        guard let prefix = Self.prefix(value.text, isNetwork: words.kind == "net") else {
            let wanted = words.kind == "net" ? "a network, such as 10.190.0.0/24" : "an address, such as 10.190.0.2"
            throw fault("\"\(value.text)\" is not \(wanted)", at: value)
        }
        let types: [(name: String, type: UInt16, family: IPAddress.Family)] = [
            ("ip", ProtocolNumber.ipv4, .v4), ("arp", ProtocolNumber.arp, .v4), ("ip6", ProtocolNumber.ipv6, .v6),
        ]
        guard let name = words.protocolName else { return .test(.network(prefix, side, etherType: nil)) }
        guard let known = types.first(where: { $0.name == name }), known.family == prefix.family else {
            throw fault("\(name) has no such address as \(value.text)", at: value)
        }
        return .test(.network(prefix, side, etherType: known.type))
    }

    private static func prefix(_ text: String, isNetwork: Bool) -> NetworkPrefix? {
        if let address = IPAddress(text) { return NetworkPrefix(address, length: address.bitWidth) }
        return isNetwork ? NetworkPrefix(text) : nil
    }

    private static func port(_ text: String) -> UInt16? {
        var number = 0
        guard (1...5).contains(text.utf8.count) else { return nil }
        for digit in text.utf8 {
            guard (0x30...0x39).contains(digit) else { return nil }
            number = number * 10 + Int(digit - 0x30)
        }
        return UInt16(exactly: number)
    }

    private static func ports(_ text: String) -> ClosedRange<UInt16>? {
        let halves = text.utf8.split(separator: 0x2d, omittingEmptySubsequences: false)
        guard halves.count == 2, let first = String(halves[0]).flatMap({ port($0) }),
            let last = String(halves[1]).flatMap({ port($0) }), first <= last
        else { return nil }
        return first...last
    }

    /// Of groups, too: a frame may be sent to one.
    private static func station(_ text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count == 17 else { return nil }
        var bytes: [UInt8] = []
        for place in 0..<6 {
            guard let high = digit(digits[place * 3]), let low = digit(digits[place * 3 + 1]),
                place == 5 || digits[place * 3 + 2] == 0x3a
            else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func digit(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 0x30...0x39: digit - 0x30
        case 0x41...0x46: digit - 0x37
        case 0x61...0x66: digit - 0x57
        default: nil
        }
    }
}
