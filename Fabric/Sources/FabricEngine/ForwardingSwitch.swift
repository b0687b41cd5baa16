import AgentProtocol
import LinuxCalls
import Wiring

/// Whether the computer forwards IPv6. Unlike that of IPv4, the switch for it is not this program's to turn: with it the computer is a
/// router on all of its networks, which forgets the default routes that were announced to it, believes announcements no more, and lets
/// pass what others send by way of it. Of the thread's network namespace. Source: Linux, Documentation/networking/ip-sysctl.rst.
enum ForwardingSwitch {
    private static let all = "net.ipv6.conf.all.forwarding"

    /// Has what comes in over a link be forwarded, where the kernel tells links apart (Linux 6.17); nothing else is by that.
    static func on(_ device: String) {
        if let file = try? open(path(device), .writeOnly) { try? writeAll(file.number, "1") }
    }

    /// For all, or for the links that default routes lead over.
    static func isOn() -> Bool {
        if isOne("/proc/sys/net/ipv6/conf/all/forwarding") { return true }
        guard var links = try? Links(), let routes = try? links.routes(), let present = try? links.list() else {
            return false
        }
        let leading = routes.filter { $0.route.destination.family == .v6 && $0.route.prefixLength == 0 }.map { $0.link }
        let names = present.filter { leading.contains($0.index) }.map { path($0.name.description) }
        return !names.isEmpty && names.allSatisfy(isOne)
    }

    /// What is to be switched on, as people write it; nil where it is.
    static var missing: String? { isOn() ? nil : all }

    private static func path(_ device: String) -> String { "/proc/sys/net/ipv6/conf/\(device)/force_forwarding" }

    private static func isOne(_ path: String) -> Bool { EngineFolder.read(path, maximumBytes: 8)?.first == 0x31 }
}
