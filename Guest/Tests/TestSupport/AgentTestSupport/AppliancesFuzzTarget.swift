import AgentProtocol
import ApplianceGuest
import FirewallPlan
import ImpairPlan
import SnifferPlan

extension AgentFuzzTargets {
    /// What the appliances that ship read of strangers: requests, captures, what clients call themselves, and settings, as
    /// lines `path=value`.
    ///
    /// Whatever the bytes are, a reader returns or throws, and nothing is written that its types do not hold.
    public static func appliances(_ bytes: [UInt8]) {
        _ = HTTPRequest(bytes)
        capture(bytes)
        var report = FirewallReport()
        report.leases = FirewallReport.leases(ByteString(bytes))
        report.counters = FirewallReport.counters(ByteString(bytes))
        report.fault = ByteString(bytes)
        precondition(!report.page.contains("<script"), "a stranger's words became a page")
        settings(bytes)
    }

    private static func capture(_ bytes: [UInt8]) {
        var (reader, ring) = (CaptureReader(), PacketRing(bytes: 4096, pieces: 4))
        let size = max(Int(bytes.first ?? 1), 1)
        var (rest, position) = (bytes.dropFirst()[...], UInt64(0))
        while !rest.isEmpty {
            guard (try? reader.feed(rest.prefix(size)) { ring.append($0) }) != nil else { return }
            rest = rest.dropFirst(size)
            let (records, next) = ring.records(from: position, wantedBytes: size)
            precondition(records.isEmpty == (position >= ring.end) && next >= position, "a reader does not get on")
            position = next
        }
        precondition(ring.keptBytes <= 4096, "more is kept than may be")
    }

    private static func settings(_ bytes: [UInt8]) {
        let fields = SettingsFields(
            ByteString(bytes).split(0x0a).compactMap { line in
                guard let equals = line.bytes.firstIndex(of: 0x3d) else { return nil }
                return .init(ByteString(line.bytes[..<equals]), ByteString(line.bytes[(equals + 1)...]))
            })
        if let firewall = try? FirewallSettings(fields) {
            let text = firewall.filterRules + firewall.nameServiceConfiguration(in: "/run/firewall")
            precondition(text.bytes.allSatisfy { $0 == 0x0a || (0x20...0x7e).contains($0) }, "odd bytes in rules")
        }
        if let sniffer = try? SnifferSettings(fields) {
            precondition(sniffer.keptBytes / sniffer.pieceCount > 64, "a piece without room")
        }
        if let impair = try? ImpairSettings(fields) {
            let lines = (impair.making + impair.changing).split(0x0a)
            precondition(lines.count == 12 + 1, "a line more or less")
            precondition(impair.toNetwork.loss <= 100_000 && impair.toMachine.duplicates <= 100_000, "more than all")
        }
    }
}
