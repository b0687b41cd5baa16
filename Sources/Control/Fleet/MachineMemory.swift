import AgentClient
import AgentProtocol
import EmulatedHost
import HostFiles

/// What a running machine's memory comes to now.
public struct MachineMemory: Encodable, Equatable, Sendable {
    /// What the machine was given.
    public var givenBytes: UInt64
    /// What the guest's kernel has to give out, and what of that is in use, without what it would give back; as it says.
    ///
    /// Trust: the guest's word.
    public var guestBytes: UInt64
    public var usedBytes: UInt64
    /// What of the given memory takes this computer's.
    public var residentBytes: UInt64?
    /// What the monitor takes besides.
    public var monitorBytes: UInt64?
}

extension MachineRemote {
    private static let memoryPatienceMilliseconds: UInt64 = 10_000

    /// Asks the guest and looks at its monitor; nil for a machine whose agent does not answer.
    public func memory() -> MachineMemory? {
        guard let control = try? connect(), (try? control.send(.ping, id: 1)) != nil,
            case .pong(let load)? = try? control.answer(
                to: 1, until: Deadline(afterMilliseconds: Self.memoryPatienceMilliseconds))
        else { return nil }
        return memory(load)
    }

    /// What the guest has said, and what its monitor shows.
    func memory(_ load: Load) -> MachineMemory {
        var memory = MachineMemory(
            givenBytes: UInt64(record.specification.memoryMebibytes) << 20, guestBytes: load.memoryBytes,
            usedBytes: load.memoryBytes - min(load.availableBytes, load.memoryBytes))
        if let map = monitorMap() {
            (memory.residentBytes, memory.monitorBytes) = (map.guest, map.own)
        }
        return memory
    }

    /// Of the monitor's process: the guest's memory that is there, and everything else.
    private func monitorMap() -> (guest: UInt64, own: UInt64)? {
        if let process = record.monitorProcess {
            guard let bytes = try? HostPath("/proc/\(process)/smaps").readWhole(limit: 4 << 20) else { return nil }
            return Self.residentBytes(String(decoding: bytes, as: UTF8.self))
        }
        guard record.isEmulated, let settings = try? Launchers.hostSettings(store.paths),
            let host = EmulatedHost(settings).running(), let control = try? host.connect()
        else { return nil }
        let script =
            "for f in $(grep -ls \"machines/$1/monitor.json\" /proc/[0-9]*/cmdline); do cat ${f%cmdline}smaps; done"
        let output = CollectedOutput()
        let start = host.start(
            ["/bin/sh", "-c", script, "sh", record.id], environment: ["PATH=/bin:/usr/bin:/sbin:/usr/sbin"],
            workingDirectory: "/", streams: .pipes(input: false, output: true, error: false))
        guard let session = try? ProcessSession(start, over: control, output: output) else { return nil }
        session.endpoint = host
        guard (try? session.run()) != nil else { return nil }
        return Self.residentBytes(String(decoding: output.bytes(of: .standardOutput), as: UTF8.self))
    }

    /// Sums up what the kernel says of a process's mappings. The guest's memory is a memfd, with the kernel's and the agent's
    /// files mapped into the midst of it. Source: proc_pid_smaps(5).
    static func residentBytes(_ smaps: String) -> (guest: UInt64, own: UInt64)? {
        var mappings: [(start: UInt64, isMemory: Bool, bytes: UInt64)] = []
        for line in smaps.split(separator: "\n") {
            if line.hasPrefix("Rss:") {
                let kibibytes = UInt64(line.split(separator: " ").dropFirst().first ?? "") ?? 0
                if let last = mappings.indices.last { mappings[last].bytes = kibibytes &* 1024 }
            } else if let end = line.firstIndex(of: "-"), let start = UInt64(line[..<end], radix: 16) {
                mappings.append((start, line.contains("/memfd:"), 0))
            }
        }
        let memory = mappings.filter(\.isMemory).map(\.start)
        guard let first = memory.min(), let last = memory.max() else { return nil }
        let guest = mappings.filter { $0.start >= first && $0.start <= last }.reduce(0) { $0 &+ $1.bytes }
        return (guest, mappings.reduce(0) { $0 &+ $1.bytes } &- guest)
    }
}
