public import AgentProtocol
import ApplianceGuest

/// What the status page tells, as it was found in the kernel's and the name service's files.
public struct FirewallReport: Sendable {
    public struct Link: Sendable {
        public var name: ByteString
        public var address: ByteString
        public var isUp: Bool
        public var receivedBytes: UInt64
        public var sentBytes: UInt64

        public init(name: ByteString, address: ByteString, isUp: Bool, receivedBytes: UInt64, sentBytes: UInt64) {
            self.name = name
            self.address = address
            self.isUp = isUp
            self.receivedBytes = receivedBytes
            self.sentBytes = sentBytes
        }
    }

    /// Trust: the name is what the client calls itself.
    public struct Lease: Equatable, Sendable {
        public var address: ByteString
        public var hardwareAddress: ByteString
        public var hostName: ByteString
    }

    public struct RuleCounter: Equatable, Sendable {
        public var name: ByteString
        public var packets: UInt64
        public var bytes: UInt64

        public init(name: ByteString, packets: UInt64, bytes: UInt64) {
            self.name = name
            self.packets = packets
            self.bytes = bytes
        }
    }

    public var uptimeSeconds: UInt64 = 0
    /// Nil when all is well.
    public var fault: ByteString?
    public var links: [Link] = []
    public var leases: [Lease] = []
    public var counters: [RuleCounter] = []

    public init() {}

    /// Reads dnsmasq's file: expiry, hardware address, address, name or `*`, client's own number. Source: dnsmasq(8).
    public static func leases(_ file: ByteString) -> [Lease] {
        file.split(0x0a).compactMap { line in
            let words = line.words
            guard words.count >= 4, Digits.number(words[0]) != nil, IPv4(words[2]) != nil else { return nil }
            return Lease(
                address: words[2], hardwareAddress: words[1], hostName: words[3] == "*" ? "" : words[3])
        }
    }

    /// Reads what `nft list counters` prints: `counter NAME {`, and `packets N bytes M` on the next line.
    public static func counters(_ listing: ByteString) -> [RuleCounter] {
        var name: ByteString?
        var found: [RuleCounter] = []
        for line in listing.split(0x0a) {
            let words = line.words
            if words.count == 3, words[0] == "counter" {
                name = words[1]
            } else if words.count == 4, words[0] == "packets", words[2] == "bytes", let counted = name {
                found.append(
                    RuleCounter(name: counted, packets: number(words[1]), bytes: number(words[3])))
                name = nil
            }
        }
        return found
    }

    /// Digits, as many as there are; what is none ends the number.
    public static func number(_ text: ByteString) -> UInt64 {
        var value: UInt64 = 0
        for digit in text.bytes {
            guard (0x30...0x39).contains(digit) else { break }
            value = value &* 10 &+ UInt64(digit - 0x30)
        }
        return value
    }

    /// For people: one page without scripts, and nothing in it that is not escaped.
    public var page: ByteString {
        var text: ByteString = """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><title>Firewall</title><style>
            body{font:15px/1.4 sans-serif;margin:2em auto;max-width:52em;padding:0 1em}
            table{border-collapse:collapse;margin:.5em 0 1.5em}
            td,th{text-align:left;padding:.2em 1.2em .2em 0;border-bottom:1px solid #ccc}
            .bad{color:#b00020}
            </style></head><body>
            <h1>Firewall</h1>

            """
        if let fault {
            text += "<p class=\"bad\">unhealthy: " + fault.escapedForHTML + "</p>\n"
        } else {
            text += "<p>healthy</p>\n"
        }
        text += "<p>up " + Self.duration(uptimeSeconds) + "</p>\n"
        text += Self.table(
            "Interfaces", ["name", "address", "state", "received", "sent"],
            links.map {
                [$0.name, $0.address, $0.isUp ? "up" : "down", Self.size($0.receivedBytes), Self.size($0.sentBytes)]
            })
        text += Self.table(
            "Leases", ["address", "hardware address", "name"],
            leases.map { [$0.address, $0.hardwareAddress, $0.hostName] })
        text += Self.table(
            "Rules", ["rule", "packets", "bytes"],
            counters.map { [$0.name, ByteString($0.packets), Self.size($0.bytes)] })
        return text + "</body></html>\n"
    }

    private static func table(_ title: ByteString, _ heads: [ByteString], _ rows: [[ByteString]]) -> ByteString {
        var text: ByteString = "<h2>" + title + "</h2>\n<table><tr>"
        for head in heads { text += "<th>" + head.escapedForHTML + "</th>" }
        text += "</tr>\n"
        for row in rows {
            text += "<tr>"
            for cell in row { text += "<td>" + cell.escapedForHTML + "</td>" }
            text += "</tr>\n"
        }
        return text + "</table>\n"
    }

    static func duration(_ seconds: UInt64) -> ByteString {
        let days = seconds / 86_400
        let text: ByteString = days > 0 ? ByteString(days) + " d " : ""
        return text + ByteString(seconds / 3600 % 24) + " h " + ByteString(seconds / 60 % 60) + " min "
            + ByteString(seconds % 60) + " s"
    }

    static func size(_ bytes: UInt64) -> ByteString {
        let units: [ByteString] = [" B", " KiB", " MiB", " GiB", " TiB"]
        var (value, unit) = (bytes, 0)
        while value >= 10_240, unit + 1 < units.count {
            value /= 1024
            unit += 1
        }
        return ByteString(value) + units[unit]
    }
}
