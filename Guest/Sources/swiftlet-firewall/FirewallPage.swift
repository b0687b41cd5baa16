import AgentProtocol
import ApplianceGuest
import ChildPrograms
import FirewallPlan

/// The status page, and `/health` for programs.
enum FirewallPage {
    static func answer(_ request: HTTPRequest, _ settings: FirewallSettings) -> HTTPResponse {
        guard case .page(let path, _) = request else { return HTTPResponse(.badRequest, "") }
        switch path {
        case "/":
            return HTTPResponse(.ok, contentType: "text/html; charset=utf-8", report(settings).page)
        case "/health":
            guard let reason = FirewallHealth.reason(settings) else { return HTTPResponse(.ok, "healthy\n") }
            return HTTPResponse(.unavailable, "unhealthy: " + reason + "\n")
        default: return HTTPResponse(.notFound, "there is / and /health\n")
        }
    }

    private static func report(_ settings: FirewallSettings) -> FirewallReport {
        var report = FirewallReport()
        report.uptimeSeconds = FirewallReport.number(SystemFiles.text("/proc/uptime"))
        report.fault = FirewallHealth.reason(settings)
        report.links = settings.zones.map { zone, prefix in
            let folder: ByteString = "/sys/class/net/" + zone.name
            return FirewallReport.Link(
                name: zone.name, address: prefix.text, isUp: SystemFiles.text(folder + "/carrier") == "1",
                receivedBytes: FirewallReport.number(SystemFiles.text(folder + "/statistics/rx_bytes")),
                sentBytes: FirewallReport.number(SystemFiles.text(folder + "/statistics/tx_bytes")))
        }
        report.leases = FirewallReport.leases(SystemFiles.text(Firewall.folder + "/leases", maximumBytes: 256 << 10))
        let listing = Programs.run([Firewall.nft, "list", "counters", "table", "inet", "firewall"]).output
        let counters = FirewallReport.counters(listing)
        report.counters = settings.counterNames.compactMap { name in counters.first { $0.name == name } }
        return report
    }
}
