import AgentProtocol

/// The texts of networks in the one form that is kept, or why a text is none.
enum NetworkTexts {
    static func address(_ text: String, _ family: AddressFamily?) throws(Refusal) -> String {
        guard let address = IPAddress(text) else { throw Refusal("\(shown(text)) is not an IP address") }
        return try check(address, family).description
    }

    /// `10.0.0.0/8`: no bit of a host is set.
    static func network(_ text: String, _ family: AddressFamily?) throws(Refusal) -> String {
        let (address, length) = try split(text, family)
        for bit in length..<Int(address.bitWidth) where address.bytes[bit / 8] & (0x80 >> UInt8(bit % 8)) != 0 {
            var bytes = address.bytes
            for bit in length..<Int(address.bitWidth) { bytes[bit / 8] &= ~(0x80 >> UInt8(bit % 8)) }
            let network = IPAddress(networkOrder: bytes).map { "; the network is \($0)/\(length)" } ?? ""
            throw Refusal("\(shown(text)) is an address within a network\(network)")
        }
        return "\(address)/\(length)"
    }

    /// `10.0.0.5/24`: an address, and how long its network's prefix is.
    static func interfaceAddress(_ text: String, _ family: AddressFamily?) throws(Refusal) -> String {
        let (address, length) = try split(text, family)
        return "\(address)/\(length)"
    }

    private static func split(_ text: String, _ family: AddressFamily?) throws(Refusal) -> (IPAddress, Int) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(String(parts[0])) else {
            throw Refusal("\(shown(text)) is not an address with a prefix, as 10.0.0.0/24 is")
        }
        guard (1...3).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let length = Int(parts[1]), length <= Int(address.bitWidth)
        else { throw Refusal("the prefix of \(shown(text)) is not a number from 0 to \(address.bitWidth)") }
        return (try check(address, family), length)
    }

    private static func check(_ address: IPAddress, _ family: AddressFamily?) throws(Refusal) -> IPAddress {
        switch (family, address.family) {
        case (nil, _), (.ipv4, .v4), (.ipv6, .v6): return address
        case (.ipv4, _): throw Refusal("\(address) is not an IPv4 address")
        case (.ipv6, _): throw Refusal("\(address) is not an IPv6 address")
        }
    }

    /// `52:54:00:12:34:56`, of one device: not a group's, and not all zeros.
    static func hardwareAddress(_ text: String) throws(Refusal) -> String {
        let parts = text.lowercased().split(separator: ":", omittingEmptySubsequences: false)
        let bytes = parts.compactMap { part in
            part.utf8.count == 2 && part.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) }
                ? UInt8(part, radix: 16) : nil
        }
        guard parts.count == 6, bytes.count == 6 else {
            throw Refusal("\(shown(text)) is not a hardware address, as 52:54:00:12:34:56 is")
        }
        guard bytes[0] & 1 == 0, bytes.contains(where: { $0 != 0 }) else {
            throw Refusal("\(shown(text)) is not the address of a single device")
        }
        return parts.joined(separator: ":")
    }

    /// A host's name. Source: RFC 1123 §2.1, RFC 1035 §2.3.4.
    static func hostName(_ text: String) throws(Refusal) -> String {
        let labels = text.lowercased().split(separator: ".", omittingEmptySubsequences: false)
        let isName =
            text.utf8.count <= 253
            && labels.allSatisfy { label in
                (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                    && label.utf8.allSatisfy { byte in
                        (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2d
                    }
            }
        guard isName else {
            throw Refusal(
                "\(shown(text)) is not a host name: letters, digits and hyphens, in parts of at most 63 joined by points"
            )
        }
        return text.lowercased()
    }
}

/// Why a value does not fit.
struct Refusal: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

/// A foreign text for a message: short, in quotes.
func shown(_ text: String) -> String {
    let short = text.count > 60 ? text.prefix(60) + "…" : Substring(text)
    return "\"" + String(short.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? "?" : Character($0) }) + "\""
}
