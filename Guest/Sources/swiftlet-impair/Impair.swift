import AgentProtocol
import ApplianceGuest
import ChildPrograms
import FileTransfer
import GuestNetwork
import ImpairPlan
import LinuxCalls

/// A wire that the kernel carries, with queues that impair what goes by.
enum Impair {
    /// Why it does not come up, or is not changed.
    struct Refusal: Error {
        var reason: ByteString
    }

    private static func report(_ text: ByteString) { try? writeAll(2, ("impair: " + text + "\n").bytes) }

    /// Stays until it is ended.
    static func run() -> Int32 {
        do throws(Refusal) {
            let settings = try readSettings()
            try bringUp()
            try tell(settings.making)
            report("in the wire")
            return try waitForEnd()
        } catch {
            report(error.reason)
            return 1
        }
    }

    /// Brings the settings into effect: both ways, or neither and the reason.
    static func apply() -> Int32 {
        do throws(Refusal) {
            try tell(try readSettings().changing)
            return 0
        } catch {
            report(error.reason)
            return 1
        }
    }

    /// What went by each way, as `tc` counts it.
    static func status() -> Int32 {
        var text: ByteString = ""
        for (interface, way) in zip(ImpairSettings.interfaces.reversed(), [ByteString("to-network"), "to-machine"]) {
            let outcome = Programs.run([ImpairSettings.tc, "-s", "qdisc", "show", "dev", interface, "parent", "1:2"])
            guard outcome.hasSucceeded else {
                report(outcome.complaint)
                return 1
            }
            text += way + ": " + outcome.output
        }
        writeToStandardOutput(text.description)
        return 0
    }

    /// Nil when all is well; otherwise the first thing that is not.
    static func fault() -> ByteString? {
        do throws(Refusal) { _ = try readSettings() } catch { return error.reason }
        for interface in ImpairSettings.interfaces {
            if SystemFiles.text("/sys/class/net/" + interface + "/carrier") != "1" {
                return "nobody is at the other end of " + interface
            }
            let queues = Programs.run([ImpairSettings.tc, "qdisc", "show", "dev", interface])
            guard queues.hasSucceeded, queues.output.contains("netem 20:") else {
                return interface + " has not its queue"
            }
            let ways = Programs.run([ImpairSettings.tc, "filter", "show", "dev", interface, "ingress"])
            guard ways.hasSucceeded, ways.output.contains("mirred") else { return interface + " leads nowhere" }
        }
        return nil
    }

    private static func readSettings() throws(Refusal) -> ImpairSettings {
        do throws(SettingsFault) { return try ImpairSettings(try SettingsFolder.read()) } catch {
            throw Refusal(reason: "the settings are refused: " + error.text)
        }
    }

    /// The kernel says nothing of its own in the wire.
    private static func bringUp() throws(Refusal) {
        for interface in ImpairSettings.interfaces {
            if let file = try? FileTree.open(
                ("/proc/sys/net/ipv6/conf/" + interface + "/disable_ipv6").bytes, .writeOnly)
            {
                try? writeAll(file.number, ByteString("1").bytes)
            }
            do throws(Failure) { try NetworkSetup.switchOn(interface) } catch {
                throw Refusal(
                    reason: error.text + "; it takes --network wire twice, the end towards the machine first")
            }
        }
    }

    private static func tell(_ lines: ByteString) throws(Refusal) {
        let outcome = Programs.run([ImpairSettings.tc, "-batch", "-"], input: lines)
        guard outcome.hasSucceeded else { throw Refusal(reason: "the queues are refused: " + outcome.complaint) }
    }

    private static func waitForEnd() throws(Refusal) -> Int32 {
        let end = End()
        do throws(LinuxError) {
            let loop = try EventLoop()
            let signals = try SignalFile(SignalSet(SignalNumber.terminate, SignalNumber.interrupt))
            end.loop = loop
            _ = try loop.add(signals.descriptor.number, .readable, handler: end, token: 0)
            loop.run()
            _ = signals.next()
        } catch {
            throw Refusal(reason: "signals cannot be waited for: " + error.text)
        }
        return 0
    }

    private final class End: EventHandler {
        var loop: EventLoop?
        func handleEvent(token: UInt32, readiness: Readiness) { loop?.stop() }
    }
}
