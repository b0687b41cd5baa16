import AgentProtocol
import ApplianceGuest
import ChildPrograms
import FileTransfer
import FirewallPlan
import GuestNetwork
import LinuxCalls

/// From nothing to a firewall in force, in an order that lets nothing through on the way.
enum Firewall {
    static let folder: ByteString = "/run/firewall"
    static let nft: ByteString = "/usr/sbin/nft"

    /// Why it does not come up.
    struct Refusal: Error {
        var reason: ByteString
    }

    static func report(_ text: ByteString) { try? writeAll(2, ("firewall: " + text + "\n").bytes) }

    /// Stays until it is ended.
    static func run() -> Int32 {
        do throws(Refusal) {
            // Whatever the interfaces are by now: from here on nothing passes.
            try loadRules(FirewallSettings.closedRules)
            let settings = try readSettings()
            try prepare(settings)
            try loadRules(settings.filterRules)
            try setSwitches()
            try readdress(settings)
            try takeConfiguration()
            try setSwitch("ipv4/ip_forward", "1")
            let service = try FirewallService(settings)
            report("in force: " + summary(settings))
            return service.run()
        } catch {
            report(error.reason)
            return 1
        }
    }

    /// Brings the settings into effect in the firewall that runs: all of them, or none and the reason.
    ///
    /// The rules change in one transaction; what passed before goes on as long as it lasts.
    static func apply() -> Int32 {
        do throws(Refusal) {
            guard let process = Digits.number(SystemFiles.text(FirewallService.processFile)) else {
                throw Refusal(reason: "no firewall runs here")
            }
            let settings = try readSettings()
            try prepare(settings)
            try loadRules(settings.filterRules)
            try readdress(settings)
            try takeConfiguration()
            do throws(LinuxError) {
                try Children.signal(Int32(truncatingIfNeeded: process), SignalNumber.hangUp)
            } catch {
                throw Refusal(reason: "the firewall does not hear: " + error.text)
            }
            return 0
        } catch {
            report(error.reason)
            return 1
        }
    }

    /// Shows what the settings would be made into, and changes nothing.
    static func check() -> Int32 {
        do throws(Refusal) {
            let settings = try readSettings()
            let rules = Programs.run([nft, "--check", "--file", "-"], input: settings.filterRules)
            guard rules.hasSucceeded else { throw Refusal(reason: "the rules are refused: " + rules.complaint) }
            try? writeAll(1, (settings.filterRules + "\n" + settings.nameServiceConfiguration(in: folder)).bytes)
            return 0
        } catch {
            report(error.reason)
            return 1
        }
    }

    static func readSettings() throws(Refusal) -> FirewallSettings {
        do throws(SettingsFault) { return try FirewallSettings(try SettingsFolder.read()) } catch {
            throw Refusal(reason: "the settings are refused, and nothing passes: " + error.text)
        }
    }

    private static func loadRules(_ rules: ByteString) throws(Refusal) {
        let outcome = Programs.run([nft, "--file", "-"], input: rules)
        guard outcome.hasSucceeded else { throw Refusal(reason: "the rules are refused: " + outcome.complaint) }
    }

    /// What is written down for the name service is judged by it before anything opens.
    private static func prepare(_ settings: FirewallSettings) throws(Refusal) {
        let draft = FirewallService.configuration + ".new"
        try? FileTree.makeDirectory(folder.bytes, mode: 0o755)
        try write(settings.nameServiceConfiguration(in: folder), to: draft)
        let outcome = Programs.run([FirewallService.nameService, "--test", "--conf-file=" + draft])
        guard outcome.hasSucceeded else {
            throw Refusal(reason: "the name service refuses its settings: " + outcome.complaint)
        }
    }

    private static func takeConfiguration() throws(Refusal) {
        do throws(LinuxError) {
            try FileTree.rename(
                (FirewallService.configuration + ".new").bytes, to: FirewallService.configuration.bytes)
        } catch {
            throw Refusal(reason: "what the name service is told cannot be put in place: " + error.text)
        }
    }

    static func write(_ text: ByteString, to path: ByteString) throws(Refusal) {
        do throws(LinuxError) {
            let file = try FileTree.open(path.bytes, [.writeOnly, .create, .truncate], mode: 0o644)
            try writeAll(file.number, text.bytes)
        } catch {
            throw Refusal(reason: path + " cannot be written: " + error.text)
        }
    }

    private static func setSwitches() throws(Refusal) {
        for (path, value) in FirewallSettings.kernelSwitches {
            // There may be no DMZ, and a kernel without IPv6 has nothing to be switched off.
            if path.hasPrefix("ipv6/") || path.hasPrefix("ipv4/conf/dmz/") {
                try? setSwitch(path, value)
            } else {
                try setSwitch(path, value)
            }
        }
    }

    private static func setSwitch(_ path: ByteString, _ value: ByteString) throws(Refusal) {
        do throws(LinuxError) {
            let file = try FileTree.open((ByteString("/proc/sys/net/") + path).bytes, .writeOnly)
            try writeAll(file.number, value.bytes)
        } catch {
            if path.hasPrefix("ipv4/conf/outside/") || path.hasPrefix("ipv4/conf/inside/"), error == .noEntry {
                throw Refusal(
                    reason: "an interface is missing (" + path
                        + "); it takes --network …,name=outside and --network …,name=inside")
            }
            throw Refusal(reason: "the kernel's " + path + " cannot be set: " + error.text)
        }
    }

    /// Where it is written down which addresses were given, so that they can be taken away again.
    private static let addressFile: ByteString = folder + "/addresses"

    /// Takes away the addresses that count no more, then gives those that do.
    private static func readdress(_ settings: FirewallSettings) throws(Refusal) {
        do throws(Failure) {
            for line in SystemFiles.text(addressFile).split(0x0a) {
                let words = line.words
                guard words.count == 2, let prefix = IPv4Prefix(words[1]),
                    !settings.zones.contains(where: { $0.zone.name == words[0] && $0.prefix == prefix })
                else { continue }
                try NetworkSetup.remove(
                    .init(prefix.address.address, prefixLength: prefix.length), from: words[0])
            }
            try NetworkSetup.apply(settings.interfaces)
        } catch {
            throw Refusal(reason: error.text)
        }
        var text: ByteString = ""
        for (zone, prefix) in settings.zones { text += zone.name + " " + prefix.text + "\n" }
        try write(text, to: addressFile)
    }

    private static func summary(_ settings: FirewallSettings) -> ByteString {
        var text: ByteString = ""
        for (zone, prefix) in settings.zones {
            text += (text.isEmpty ? "" : ", ") + zone.name + " " + prefix.text
        }
        return text
    }
}
