import AgentClient
import AgentProtocol
import EmulatedHost
import HostFiles

/// What a running machine's memory comes to now.
public struct MachineMemory: Encodable, Equatable, Sendable {
    /// What the machine began with, and what has been plugged since.
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
    /// Asks the guest and looks at its monitor; nil for a machine whose agent does not answer.
    public func memory() -> MachineMemory? {
        guard let load = try? load() else { return nil }
        let isGrowing = record.specification.memoryMaximumMebibytes != nil
        return memory(load, pluggedMebibytes: isGrowing ? try? self.control.pluggedMemory().plugged_size_mib : nil)
    }

    /// What the guest says of itself.
    func load() throws -> Load {
        let control = try connect()
        try control.send(.ping, id: 1)
        guard
            case .pong(let load) = try control.answer(
                to: 1, until: Deadline(afterMilliseconds: patienceMilliseconds))
        else { throw AgentClientError(.malformed, "the guest's agent gave another answer than was asked for") }
        return load
    }

    /// What the guest has said, and what its monitor shows.
    func memory(_ load: Load, pluggedMebibytes: Int?) -> MachineMemory {
        // Trust: the monitor's word; nothing is made of it.
        let plugged = UInt64(clamping: min(pluggedMebibytes ?? 0, MachineSpecification.mostMemoryMaximum))
        var memory = MachineMemory(
            givenBytes: (UInt64(record.specification.memoryMebibytes) + plugged) << 20, guestBytes: load.memoryBytes,
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
            return residentBytes(bytes)
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
        session.silenceAfterExit = ProcessSession.emulatedSilenceAfterExit
        session.endpoint = host
        guard (try? session.run()) != nil else { return nil }
        return residentBytes(output.bytes(of: .standardOutput))
    }

    private func residentBytes(_ smaps: [UInt8]) -> (guest: UInt64, own: UInt64)? {
        Self.residentBytes(
            String(decoding: smaps, as: UTF8.self),
            pluggableBytes: record.specification.pluggableMebibytes.map { UInt64($0) << 20 })
    }

    private struct KernelMapping {
        var start: UInt64
        var isMemory: Bool
        var isPluggable: Bool
        var bytes: UInt64 = 0
    }

    /// Sums up what the kernel says of a process's mappings. The guest's memory is a memfd, with the kernel's and the agent's
    /// files mapped into the midst of it; of a machine that goes on from a snapshot it is the snapshot's file, or what another
    /// thread serves pages of (`um`). What can be plugged has no name, and is the only such mapping of that size. Source:
    /// proc_pid_smaps(5).
    static func residentBytes(_ smaps: String, pluggableBytes: UInt64? = nil) -> (guest: UInt64, own: UInt64)? {
        var mappings: [KernelMapping] = []
        for line in smaps.split(separator: "\n") {
            if line.hasPrefix("Rss:") {
                let kibibytes = UInt64(line.split(separator: " ").dropFirst().first ?? "") ?? 0
                if let last = mappings.indices.last { mappings[last].bytes = kibibytes &* 1024 }
            } else if line.hasPrefix("VmFlags:") {
                if let last = mappings.indices.last, line.split(separator: " ").contains("um") {
                    mappings[last].isMemory = true
                }
            } else if let end = line.firstIndex(of: "-"), let start = UInt64(line[..<end], radix: 16) {
                let words = line.split(separator: " ", omittingEmptySubsequences: true)
                let end = UInt64(words.first?.split(separator: "-").last ?? "", radix: 16) ?? start
                let isPluggable = pluggableBytes.map { words.count == 5 && end >= start && end - start >= $0 } ?? false
                mappings.append(
                    KernelMapping(start: start, isMemory: isMemoryFile(line), isPluggable: isPluggable))
            }
        }
        let memory = mappings.filter(\.isMemory).map(\.start)
        guard let first = memory.min(), let last = memory.max() else { return nil }
        let guest = mappings.filter { $0.start >= first && $0.start <= last || $0.isPluggable }.reduce(0) {
            $0 &+ $1.bytes
        }
        return (guest, mappings.reduce(0) { $0 &+ $1.bytes } &- guest)
    }

    /// By the name at the end of a mapping's line, behind which the kernel writes that the file is gone.
    private static func isMemoryFile(_ line: Substring) -> Bool {
        if line.contains("/memfd:") { return true }
        let name = line.hasSuffix(" (deleted)") ? line.dropLast(10) : line
        return name.hasSuffix("/" + SnapshotOrigin.memoryName) || name.hasSuffix("/" + Suspension.memoryName)
    }
}
