import AgentProtocol
import ApplianceGuest
import ChildPrograms
import FileTransfer
import GuestNetwork
import LinuxCalls
import SnifferPlan

/// From nothing to a capture that runs.
enum Sniffer {
    static let folder: ByteString = "/run/sniffer"
    static let socket: ByteString = folder + "/stream"

    struct Refusal: Error {
        var reason: ByteString
    }

    static func report(_ text: ByteString) { try? writeAll(2, ("sniffer: " + text + "\n").bytes) }

    /// Stays until it is ended.
    static func run() -> Int32 {
        do throws(Refusal) {
            let settings = try readSettings()
            try bringUp(settings)
            let outcome = Programs.run(settings.checkArguments)
            guard outcome.hasSucceeded else {
                throw Refusal(reason: "the filter is refused: " + outcome.complaint)
            }
            let service = try SnifferService(settings)
            report("captures" + (settings.filter.isEmpty ? "" : ": " + settings.filter))
            return service.run()
        } catch {
            report(error.reason)
            return 1
        }
    }

    static func readSettings() throws(Refusal) -> SnifferSettings {
        do throws(SettingsFault) { return try SnifferSettings(try SettingsFolder.read()) } catch {
            throw Refusal(reason: "the settings are refused: " + error.text)
        }
    }

    /// The captured side says nothing of itself: no address, no IPv6, no answer to who asks for one that another side has.
    private static func bringUp(_ settings: SnifferSettings) throws(Refusal) {
        for (path, value) in [
            (ByteString("ipv6/conf/all/disable_ipv6"), ByteString("1")), ("ipv6/conf/capture/disable_ipv6", "1"),
            ("ipv4/conf/capture/arp_ignore", "8"), ("ipv4/conf/all/rp_filter", "1"), ("ipv4/ip_forward", "0"),
        ] {
            // A kernel without IPv6 has nothing to be switched off.
            guard let file = try? FileTree.open((ByteString("/proc/sys/net/") + path).bytes, .writeOnly),
                (try? writeAll(file.number, value.bytes)) != nil || path.hasPrefix("ipv6")
            else {
                if path.hasPrefix("ipv6") { continue }
                throw Refusal(
                    reason: "the interface capture is missing; it takes --network …,name=capture")
            }
        }
        do throws(Failure) {
            try NetworkSetup.switchOn(SnifferSettings.interface)
            if let stream = settings.stream {
                try NetworkSetup.apply([
                    Interface(
                        name: "management",
                        addresses: [.init(stream.address.address.address, prefixLength: stream.address.length)])
                ])
            }
        } catch {
            throw Refusal(reason: error.text)
        }
    }
}

/// What a caller on the machine itself wants; the byte that it sends.
enum SnifferRequest: UInt8 {
    case live = 0x6c
    case kept = 0x6b
    case status = 0x73
}

/// Another process of the appliance, run by `swiftlet exec`: copies from the service to its own standard output.
enum SnifferClient {
    static func copy(_ request: SnifferRequest) -> Int32 {
        do throws(LinuxError) {
            let socket = try UnixSocket.connect(Sniffer.socket.bytes)
            try setNonBlocking(socket.number, false)
            try writeAll(socket.number, [request.rawValue])
            var bytes = [UInt8](repeating: 0, count: 64 << 10)
            while true {
                let count = try read(socket.number, over: &bytes)
                if count == 0 { return 0 }
                try writeAll(1, Array(bytes[..<count]))
            }
        } catch {
            // Whoever read it has seen enough.
            if error.number == 32 { return 0 }
            Sniffer.report("nothing is captured: " + error.text)
            return 1
        }
    }
}

enum SnifferHealth {
    /// Nil when all is well; otherwise the first thing that is not.
    static func reason() -> ByteString? {
        do throws(Sniffer.Refusal) { _ = try Sniffer.readSettings() } catch { return error.reason }
        let flags = SystemFiles.text("/sys/class/net/capture/flags")
        if flags.isEmpty { return "the interface capture is not there" }
        // IFF_UP. Source: netdevice(7).
        guard let last = flags.bytes.last, [0x31, 0x33, 0x35, 0x37, 0x39, 0x62, 0x64, 0x66].contains(last) else {
            return "the interface capture is switched off"
        }
        let number = SystemFiles.text(Sniffer.folder + "/capture.pid")
        guard Digits.number(number) != nil, SystemFiles.text("/proc/" + number + "/comm") == "tcpdump" else {
            return "nothing is captured: tcpdump does not run"
        }
        return nil
    }
}
