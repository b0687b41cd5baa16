import AgentProtocol
import WireFormats

/// Something outside of its network that a machine may open connections to.
public struct EgressRule: Hashable, Sendable {
    public enum Destination: Hashable, Sendable {
        case prefix(NetworkPrefix)
        /// A domain, and all names below it: lower-case labels with points between them.
        case domain(String)
    }

    /// What people are told to write.
    public static let form = "DOMAIN|ADDRESS[/LENGTH][:PORT[-PORT]][/tcp|/udp]"
    /// Shorter than RFC 1035 has it (253): it is part of names in the kernel's rules and of one line for dnsmasq.
    private static let mostDomainBytes = 150

    public var destination: Destination
    /// Nil: all of them, and what has none.
    public var ports: ClosedRange<UInt16>?
    /// Nil: both.
    public var transport: PublishedPort.Transport?

    public init(
        _ destination: Destination, ports: ClosedRange<UInt16>? = nil, transport: PublishedPort.Transport? = nil
    ) {
        self.destination = destination
        self.ports = ports
        self.transport = transport
    }

    /// Reads `example.com`, `example.com:443/tcp`, `10.0.0.0/8:8000-8009`, `[2001:db8::/32]:443`.
    /// - Throws: what is wrong with it, in words.
    public init(parsing text: String) throws(FabricFault) {
        var place = Array(text.utf8)
        for (end, transport) in [("/tcp", PublishedPort.Transport.tcp), ("/udp", .udp)]
        where place.count > 4 && place.suffix(4).elementsEqual(end.utf8) {
            self.transport = transport
            place.removeLast(4)
            break
        }
        var name = place[...]
        if place.first == UInt8(ascii: "["), let end = place.firstIndex(of: UInt8(ascii: "]")) {
            name = place[1..<end]
            let rest = place[(end + 1)...]
            if !rest.isEmpty { ports = try Self.ports(rest, of: text) }
        } else if let colon = place.lastIndex(of: UInt8(ascii: ":")), place.firstIndex(of: UInt8(ascii: ":")) == colon {
            name = place[..<colon]
            ports = try Self.ports(place[colon...], of: text)
        }
        let destination = String(decoding: name, as: UTF8.self)
        if let prefix = Self.prefix(destination) {
            self.destination = .prefix(prefix)
        } else if Self.isDomain(destination) {
            self.destination = .domain(destination)
        } else if destination.utf8.starts(with: "*.".utf8) {
            throw FabricFault(
                "\"\(text)\": a domain stands for all names below it, too; write \(String(destination.utf8.dropFirst(2)) ?? "it without *.")"
            )
        } else {
            throw FabricFault(
                "\"\(text)\" is nothing that a machine can be let reach; write \(Self.form): example.com:443, 10.0.0.0/8, [2001:db8::/32]:443/tcp"
            )
        }
    }

    /// An address alone is a prefix of all of its bits.
    private static func prefix(_ text: String) -> NetworkPrefix? {
        if let prefix = NetworkPrefix(text) { return prefix }
        return IPAddress(text).flatMap { NetworkPrefix($0, length: $0.family == .v4 ? 32 : 128) }
    }

    /// Labels of letters, digits, `-` and `_`, two at least; the last one is no number.
    private static func isDomain(_ text: String) -> Bool {
        let labels = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard labels.count >= 2, text.utf8.count <= mostDomainBytes, let last = labels.last else { return false }
        for label in labels {
            let isRight = label.allSatisfy {
                $0 == 0x2d || $0 == 0x5f || (0x30...0x39).contains($0) || (0x61...0x7a).contains($0)
            }
            guard isRight, (1...63).contains(label.count), label.first != 0x2d, label.last != 0x2d else { return false }
        }
        return !last.allSatisfy { (0x30...0x39).contains($0) }
    }

    private static func ports(_ text: ArraySlice<UInt8>, of whole: String) throws(FabricFault) -> ClosedRange<UInt16> {
        var ends: [UInt16] = []
        for digits in text.dropFirst().split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false) {
            var number = 0
            for digit in digits {
                guard (0x30...0x39).contains(digit), number <= 65_535 else {
                    number = 0
                    break
                }
                number = number * 10 + Int(digit - 0x30)
            }
            if let end = UInt16(exactly: number), end > 0 { ends.append(end) } else { ends = [] }
            if ends.isEmpty { break }
        }
        guard text.first == UInt8(ascii: ":"), (1...2).contains(ends.count), ends[0] <= ends[ends.count - 1] else {
            throw FabricFault("\"\(whole)\": ports are written as :443 or :8000-8009")
        }
        return ends[0]...ends[ends.count - 1]
    }
}

extension EgressRule: CustomStringConvertible {
    /// As it is read again.
    public var description: String {
        var text: String
        switch destination {
        case .domain(let name): text = name
        case .prefix(let prefix):
            let isAddress = prefix.hostBits == 0
            text = isAddress ? prefix.base.description : prefix.description
            if prefix.family == .v6 { text = "[\(text)]" }
        }
        if let ports {
            text += ports.count == 1 ? ":\(ports.lowerBound)" : ":\(ports.lowerBound)-\(ports.upperBound)"
        }
        return text + (transport.map { "/" + $0.rawValue } ?? "")
    }
}

/// What a machine may open connections to outside of its networks: this, and nothing else.
public struct EgressPolicy: Equatable, Sendable {
    public static let mostRules = 64
    private static let mostPathBytes = 1024

    public var rules: [EgressRule]
    /// The file that says what it has opened, and what it was refused; nil: nobody wants to know.
    public var log: String?

    public init(_ rules: [EgressRule], log: String? = nil) {
        self.rules = rules
        self.log = log
    }

    /// The domains in it, each once.
    public var domains: [String] {
        var domains: [String] = []
        for rule in rules {
            if case .domain(let name) = rule.destination, !domains.contains(name) { domains.append(name) }
        }
        return domains
    }
}

extension EgressPolicy {
    init(_ document: JSONValue) throws(FabricFault) {
        let reader = try ObjectReader(document, "what a machine may reach", ["rules", "log"])
        var rules: [EgressRule] = []
        for text in try reader.texts("rules") { rules.append(try EgressRule(parsing: text)) }
        guard rules.count <= Self.mostRules else {
            throw FabricFault("a machine has at most \(Self.mostRules) rules of what it may reach")
        }
        let log = reader.has("log") ? try reader.text("log") : nil
        if let log, log.utf8.first != UInt8(ascii: "/") || log.utf8.count > Self.mostPathBytes || log.utf8.contains(0) {
            throw FabricFault("log of what a machine may reach is no file's whole path")
        }
        self.init(rules, log: log)
    }

    var document: JSONValue {
        .object([
            JSONMember("rules", .array(rules.map { .string($0.description) })),
            JSONMember("log", log.map { .string($0) } ?? .null),
        ])
    }
}
