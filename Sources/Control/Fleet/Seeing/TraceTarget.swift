import AgentProtocol
import FabricProtocol

/// What a packet is to be sent to, as people say it: `web:80`, `10.0.0.1:53`, `[fd00::1]:53`, `@lan:53`, or without a port.
struct TraceTarget: Equatable {
    var name: String
    /// Nil where the transport has none.
    var port: UInt16?

    /// - Throws: what it should be instead.
    init(_ text: String, _ transport: TraceRequest.Transport) throws(FleetError) {
        guard let scheme = text.firstRange(of: "://") else {
            try self.init(plain: text, transport)
            return
        }
        let host = text[scheme.upperBound...].prefix { !"/?#".contains($0) }
        let port = text.hasPrefix("https:") ? 443 : 80
        let plain = Self.halves(String(host)).port == nil ? "\(host):\(port)" : "\(host)"
        throw FleetError(.invalidSetting, "\"\(text)\" is a URL, and a packet has none; say \(plain)")
    }

    private init(plain text: String, _ transport: TraceRequest.Transport) throws(FleetError) {
        let (name, port) = Self.halves(text)
        guard !name.isEmpty else {
            throw FleetError(
                .invalidSetting, "\"\(text)\" names nobody; say a machine, a network or an address: web:80")
        }
        self.name = name
        guard transport != .icmp else {
            guard port == nil else {
                throw FleetError(.invalidSetting, "a ping has no port; say \"\(name)\", or leave --icmp out")
            }
            return
        }
        guard let port else {
            guard UInt16(text) == nil else {
                throw FleetError(.invalidSetting, "\"\(text)\" is a port, and nobody's; say whose: web:\(text)")
            }
            throw FleetError(
                .invalidSetting, "\"\(text)\" says no port; say \(Self.written(name)):80, or --icmp for a ping")
        }
        guard let number = UInt16(port), number > 0 else {
            throw FleetError(.invalidSetting, "\"\(port)\" is no port; it is a number from 1 to 65535")
        }
        self.port = number
    }

    /// An address of IPv6 with a port stands in brackets.
    private static func halves(_ text: String) -> (name: String, port: String?) {
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            let name = String(text[text.index(after: text.startIndex)..<end])
            let rest = text[text.index(after: end)...]
            if rest.isEmpty { return (name, nil) }
            return rest.first == ":" ? (name, String(rest.dropFirst())) : (text, nil)
        }
        guard IPAddress(text) == nil, let colon = text.lastIndex(of: ":") else { return (text, nil) }
        return (String(text[..<colon]), String(text[text.index(after: colon)...]))
    }

    static func written(_ name: String) -> String { name.contains(":") ? "[\(name)]" : name }
}
