import LinuxCalls

/// A port of this computer from which the emulator forwards connections to the same port of the emulated host.
public struct PortForward: Hashable, Sendable {
    /// This computer's; nil: all of them.
    public var address: String?
    public var port: UInt16

    public init(address: String?, port: UInt16) {
        self.address = address
        self.port = port
    }

    fileprivate var rule: String { "tcp:\(address ?? "0.0.0.0"):\(port)" }
}

extension EmulatedHost {
    /// Has connections to these ports of this computer forwarded, besides those that are already. Of TCP alone: a network that is
    /// restricted lets no answers to datagrams out. Source: QEMU, docs/system/monitor (hostfwd_add); libslirp, src/udp.c.
    /// - Throws: naming a port that cannot be had; then none is forwarded that was not before.
    public func forward(_ forwards: [PortForward]) throws(HostError) {
        if forwards.isEmpty { return }
        var control = try emulator()
        let present = try control.forwards()
        var made: [PortForward] = []
        for forward in forwards where !present.contains(forward) {
            let said = try control.order("hostfwd_add control \(forward.rule)-:\(forward.port)")
            guard said.isEmpty else {
                for forward in made { _ = try? control.order("hostfwd_remove control \(forward.rule)") }
                let place = "\(forward.address.map { "\($0):" } ?? "")\(forward.port)"
                throw HostError(
                    .portTaken,
                    "port \(place)/tcp of this computer cannot be had: somebody has it, or the address is another computer's; `ss -ltnp` shows who, or choose another port"
                )
            }
            made.append(forward)
        }
    }

    /// Forwards no more. What is not forwarded is no error.
    public func stopForwarding(_ forwards: [PortForward]) {
        if forwards.isEmpty { return }
        guard var control = try? emulator() else { return }
        for forward in forwards { _ = try? control.order("hostfwd_remove control \(forward.rule)") }
    }

    /// Forwards nothing but these.
    public func stopForwarding(besides wanted: Set<PortForward>) {
        guard var control = try? emulator(), let present = try? control.forwards() else { return }
        for forward in present.subtracting(wanted) { _ = try? control.order("hostfwd_remove control \(forward.rule)") }
    }

    private func emulator() throws(HostError) -> EmulatorControl {
        try EmulatorControl.connect(settings.controlSocket) { running() != nil }
    }
}

extension EmulatorControl {
    /// What the emulator says to a command of its monitor.
    fileprivate mutating func order(_ command: String) throws(HostError) -> String {
        guard case .string(let text) = try perform("human-monitor-command", "{\"command-line\":\"\(command)\"}")
        else { return "" }
        return text.filter { !$0.isWhitespace }
    }

    fileprivate mutating func forwards() throws(HostError) -> Set<PortForward> {
        guard case .string(let text) = try perform("human-monitor-command", "{\"command-line\":\"info usernet\"}")
        else { return [] }
        return Self.forwards(in: text)
    }

    /// `TCP[HOST_FORWARD]  12  127.0.0.1 37323  10.0.2.15  37323  0  0`, with `*` for all addresses. One that leads to another port is
    /// the emulated host's own.
    static func forwards(in text: String) -> Set<PortForward> {
        var found: Set<PortForward> = []
        for line in text.split(whereSeparator: \.isNewline) where line.contains("TCP[HOST_FORWARD]") {
            let words = line.split(separator: " ")
            guard words.count > 5, let port = UInt16(words[3]), words[3] == words[5] else { continue }
            found.insert(
                PortForward(address: ["*", "0.0.0.0"].contains(words[2]) ? nil : String(words[2]), port: port))
        }
        return found
    }
}
