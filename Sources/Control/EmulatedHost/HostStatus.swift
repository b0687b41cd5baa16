import AgentClient
import LinuxCalls

/// What `swiftlet host status` tells.
public struct HostStatus: Equatable, Sendable {
    /// Whether a host runs and answers.
    public enum State: String, Sendable { case running, silent, stopped }

    public var state: State
    public var emulatorProcess: Int32?
    /// Since 1970.
    public var startedSeconds: Int64?
    public var memoryMebibytes: Int
    public var processors: Int
    /// What the emulator occupies of this machine's memory.
    public var residentMebibytes: Int?
    /// Commands that run in it; connections to it besides the one that asked.
    public var commands: Int?
    public var connections: Int?
    public var idleSeconds: UInt32
    /// Whether starting takes a tenth of a second, and not the time of a boot.
    public var hasTemplate: Bool
}

extension EmulatedHost {
    /// Asks a running host; never starts one.
    public func status() -> HostStatus {
        var status = HostStatus(
            state: .stopped, memoryMebibytes: settings.memoryMebibytes, processors: settings.processors,
            idleSeconds: settings.idleSeconds,
            hasTemplate: HostFolder.names(settings.dataFolder).contains {
                $0.hasPrefix("template-") && $0 != "template-unfinished"
            })
        guard let host = running() else { return status }
        status.emulatorProcess = host.emulatorProcess
        status.startedSeconds = host.startedSeconds
        status.memoryMebibytes = host.memoryMebibytes
        status.processors = host.processors
        status.residentMebibytes = Self.residentMebibytes(
            TextFile.read("/proc/\(host.emulatorProcess)/status") ?? "")
        do {
            let load = try host.load()
            status.state = .running
            status.commands = Int(load.processes)
            status.connections = max(0, Int(load.connections) - 1)
        } catch {
            status.state = .silent
        }
        return status
    }

    /// Source: proc(5), `VmRSS` of `/proc/PID/status`.
    static func residentMebibytes(_ status: String) -> Int? {
        for line in status.split(separator: "\n") where line.hasPrefix("VmRSS:") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            return words.count > 1 ? Int(words[1]).map { $0 / 1024 } : nil
        }
        return nil
    }
}
