import AgentProtocol
import ApplianceGuest
import ChildPrograms
import FileTransfer
import FirewallPlan
import LinuxCalls

/// Whether the firewall does what its settings say.
enum FirewallHealth {
    /// Nil when all is well; otherwise the first thing that is not.
    static func reason() -> ByteString? {
        let settings: FirewallSettings
        do throws(SettingsFault) { settings = try FirewallSettings(try SettingsFolder.read()) } catch {
            return "the settings are refused: " + error.text
        }
        return reason(settings)
    }

    static func reason(_ settings: FirewallSettings) -> ByteString? {
        if !hasRules(settings) { return "the rules are not loaded" }
        if SystemFiles.text("/proc/sys/net/ipv4/ip_forward") != "1" { return "packets are not forwarded" }
        let addresses = SystemFiles.text("/proc/net/fib_trie", maximumBytes: 1 << 20)
        for (zone, prefix) in settings.zones {
            guard SystemFiles.text("/sys/class/net/" + zone.name + "/flags") != "" else {
                return "the interface " + zone.name + " is not there"
            }
            guard isUp(zone), isLocal(prefix.address, addresses) else {
                return zone.name + " has not its address " + prefix.text
            }
        }
        if !hasNameService() { return "the name service does not run" }
        return nil
    }

    /// By the counter that only the whole table has; the closed one has none.
    private static func hasRules(_ settings: FirewallSettings) -> Bool {
        let outcome = Programs.run([Firewall.nft, "list", "chain", "inet", "firewall", "forward"])
        return outcome.hasSucceeded && contains(outcome.output, "policy drop")
            && contains(outcome.output, "\"inside_outside\"")
    }

    /// IFF_UP. Source: netdevice(7).
    private static func isUp(_ zone: Zone) -> Bool {
        let flags = SystemFiles.text("/sys/class/net/" + zone.name + "/flags")
        return flags.bytes.last.map { [0x31, 0x33, 0x35, 0x37, 0x39, 0x62, 0x64, 0x66].contains($0) } ?? false
    }

    /// Among the kernel's own addresses: a line with the address, followed by one that calls it a local host.
    private static func isLocal(_ address: IPv4, _ table: ByteString) -> Bool {
        let lines = table.split(0x0a)
        let wanted: ByteString = "|-- " + address.text
        for (index, line) in lines.enumerated() where index + 1 < lines.count {
            let text = ByteString(line.bytes.drop { $0 == 0x20 })
            if text == wanted, contains(lines[index + 1], "/32 host LOCAL") { return true }
        }
        return false
    }

    private static func hasNameService() -> Bool {
        let number = SystemFiles.text(Firewall.folder + "/dnsmasq.pid")
        guard Digits.number(number) != nil else { return false }
        return SystemFiles.text("/proc/" + number + "/comm") == "dnsmasq"
    }

    private static func contains(_ text: ByteString, _ part: ByteString) -> Bool { text.contains(part) }
}
