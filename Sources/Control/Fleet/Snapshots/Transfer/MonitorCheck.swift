import AgentClient
import FoundationEssentials
import HostFiles

/// Asks the monitor, where monitors run, whether it would make a machine of a snapshot's files: they belong together, nothing of
/// them was changed, its version is known, and the processor has what the guest was told that it has.
struct MonitorCheck {
    private let paths: ProductPaths

    init(_ paths: ProductPaths) { self.paths = paths }

    /// What the monitor says of the machine. Source: `swiftlet-vmm snapshot check`.
    struct Answer: Decodable, Equatable {
        var vcpu_count: Int
        var mem_size_mib: Int
        var plugged_size_mib: Int
        var devices: Int
        var console: Bool
    }

    /// Root disk, vsock, entropy, balloon.
    static let usualDevices = 4

    func check(
        state: HostPath, memory: HostPath, of description: SnapshotDescription, report: (String) -> Void
    ) throws {
        let launcher = try Launchers.choose(paths, report: report)
        let (isRight, said) = try launcher.ask(
            [paths.monitor, "snapshot", "check", state.description, memory.description])
        guard isRight else {
            throw SnapshotError(.refused, "the monitor would not take it: \(Self.reason(said))")
        }
        guard let answer = try? JSONDecoder().decode(Answer.self, from: Data(said.utf8)) else {
            throw SnapshotError(.refused, "the monitor says of it what makes no sense: \(said.prefix(200))")
        }
        try Self.compare(answer, description)
    }

    private static func reason(_ said: String) -> String {
        let line = said.split(separator: "\n").first.map(String.init) ?? "it said nothing"
        for prefix in ["swiftlet-vmm: snapshot: ", "swiftlet-vmm: "] where line.hasPrefix(prefix) {
            return String(line.dropFirst(prefix.utf8.count))
        }
        return line
    }

    static func compare(_ answer: Answer, _ description: SnapshotDescription) throws(SnapshotError) {
        let wanted = Answer(
            vcpu_count: description.processors, mem_size_mib: description.memoryMebibytes,
            plugged_size_mib: description.pluggedMebibytes ?? 0,
            devices: usualDevices + (description.memoryMaximumMebibytes == nil ? 0 : 1) + description.disks.count
                + description.interfaces.count + (description.attached?.count ?? 0),
            console: description.hasConsole)
        guard answer == wanted else {
            throw SnapshotDescription.invalid(
                "its state is another machine's than its description: \(answer.vcpu_count) processors, \(answer.mem_size_mib) MiB of memory, \(answer.plugged_size_mib) MiB plugged and \(answer.devices) devices, not \(wanted.vcpu_count), \(wanted.mem_size_mib), \(wanted.plugged_size_mib) and \(wanted.devices)"
            )
        }
    }
}
