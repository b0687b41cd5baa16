import AgentProtocol
public import FabricProtocol

extension PublishedPort {
    private static let forms =
        "write [ADDRESS:]PORT:PORT, this computer's before the machine's, of each as many (8000-8009:80-89), with /udp if need be: 8080:80, 127.0.0.1:8080:80, [::1]:8080:80, 5353:53/udp"

    /// Reads `[ADDRESS:]PORT[-PORT]:PORT[-PORT][/tcp|/udp]`, in which an address of IPv6 stands in brackets, and says what is wrong with
    /// others.
    public init(parsing text: String) throws(FleetError) {
        let (place, transport) = try Self.transport(of: text)
        let parts = Self.parts(of: place)
        guard (2...3).contains(parts.count), let own = Self.range(parts[parts.count - 2]),
            let machine = Self.range(parts[parts.count - 1])
        else { throw FleetError(.invalidSetting, "\"\(text)\" publishes no port; \(Self.forms)") }
        guard own.count == machine.count else {
            throw FleetError(
                .invalidSetting,
                "\"\(text)\": \(own.count) ports of this computer cannot lead to \(machine.count) of the machine; \(Self.forms)"
            )
        }
        guard own.count <= Self.mostOfPort else {
            throw FleetError(.invalidSetting, "\"\(text)\": a machine has at most \(Self.mostOfPort) published ports")
        }
        let address = parts.count == 3 ? try Self.address(parts[0], of: text) : nil
        guard let published = Self(transport, on: address, own, to: machine.lowerBound) else {
            throw FleetError(.invalidSetting, "\"\(text)\" publishes no port; \(Self.forms)")
        }
        self = published
    }

    /// Whether that is what `unpublish` calls it: all of it, or this computer's part.
    public func isCalled(_ text: String) -> Bool {
        if let whole = try? PublishedPort(parsing: text) { return whole == self }
        guard let (place, transport) = try? Self.transport(of: text), transport == self.transport else { return false }
        let parts = Self.parts(of: place)
        guard parts.count <= 2, let last = parts.last, Self.range(last) == ports else { return false }
        return parts.count == 1 || (try? Self.address(parts[0], of: text)) == address
    }

    /// What stands between colons, but for those of an address in brackets, which stays together with them.
    private static func parts(of text: String) -> [String] {
        guard text.first == "[", let end = text.firstIndex(of: "]") else {
            return text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        }
        let rest = text[text.index(after: end)...]
        let others = rest.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        return [String(text[...end]) + others[0]] + others.dropFirst()
    }

    private static func transport(of text: String) throws(FleetError) -> (String, Transport) {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        if halves.count == 1 { return (text, .tcp) }
        guard halves.count == 2, let transport = Transport(rawValue: halves[1].lowercased()) else {
            throw FleetError(.invalidSetting, "\"\(text)\": tcp and udp can be published; \(forms)")
        }
        return (halves[0], transport)
    }

    private static func address(_ text: String, of whole: String) throws(FleetError) -> IPAddress {
        let isBracketed = text.first == "[" && text.last == "]"
        guard let address = IPAddress(isBracketed ? String(text.dropFirst().dropLast()) : text),
            isBracketed == (address.family == .v6)
        else { throw FleetError(.invalidSetting, "\"\(whole)\": \"\(text)\" is no address; \(forms)") }
        if let objection = objection(to: address) {
            throw FleetError(
                .invalidSetting, "\"\(whole)\": ports are not published on \(address), \(objection); \(forms)")
        }
        return address
    }

    private static func range(_ text: String) -> ClosedRange<UInt16>? {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { digits -> UInt16? in
            digits.utf8.allSatisfy { (0x30...0x39).contains($0) } ? UInt16(digits) : nil
        }
        guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], 0 < first,
            first <= last
        else { return nil }
        return first...last
    }
}
