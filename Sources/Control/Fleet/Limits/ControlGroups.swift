import EmulatedHost
import HostFiles

/// A machine's control group: processor time of its monitor, which its processors are threads of.
///
/// A file in the machine's folder says that there may be one, from before it is made until it is gone, and where: whoever is
/// killed in between leaves a group that the next command removes, from whatever group it is called.
struct ControlGroups {
    private static let mark = "control-group"
    /// Source: Linux, Documentation/admin-guide/cgroup-v2.rst, `cpu.max`.
    static let periodMicroseconds = 100_000
    static let usualShares = 1024
    static let usualWeight = 100

    let store: MachineStore
    let record: MachineRecord

    /// What is written to the group's files.
    struct Settings: Equatable {
        /// Nil: as much as there is.
        var quotaMicroseconds: Int?
        var shares: Int?

        init(_ limits: MachineLimits) {
            quotaMicroseconds = limits.cpuThousandths.map { $0 * (ControlGroups.periodMicroseconds / 1000) }
            shares = limits.cpuShares
        }

        var isEmpty: Bool { quotaMicroseconds == nil && shares == nil }

        /// Of version 2. Shares of 2 to 262144 become weights of 1 to 10000.
        var unified: [(file: String, value: String)] {
            let weight = shares.map { 1 + ($0 - 2) * 9999 / 262_142 }
            return [
                ("cpu.max", "\(quotaMicroseconds.map(String.init) ?? "max") \(ControlGroups.periodMicroseconds)"),
                ("cpu.weight", "\(weight ?? ControlGroups.usualWeight)"),
            ]
        }

        /// Of version 1.
        var legacy: [(file: String, value: String)] {
            [
                ("cpu.cfs_period_us", "\(ControlGroups.periodMicroseconds)"),
                ("cpu.cfs_quota_us", "\(quotaMicroseconds ?? -1)"),
                ("cpu.shares", "\(shares ?? ControlGroups.usualShares)"),
            ]
        }
    }

    private var markPath: HostPath { store.folder(record.id).appending(Self.mark) }
    private var name: String { "swiftlet-\(record.id)" }
    private var localGroup: LocalControlGroup {
        let bytes = try? markPath.readWhole(limit: 4096)
        return LocalControlGroup(name: name, known: bytes.map { String(decoding: $0, as: UTF8.self) } ?? "")
    }

    /// Puts the machine's monitor, which runs, into a group with these limits; one that needs none and has none stays where
    /// it is.
    /// - Throws: `.noControlGroup` where no group can be made.
    func apply(_ limits: MachineLimits) throws(FleetError) {
        let settings = Settings(limits)
        guard !settings.isEmpty || markPath.exists else { return }
        let local = localGroup
        if !markPath.exists { try files { () throws(HostFileError) in try markPath.replaceQuickly([]) } }
        do throws(FleetError) {
            if record.isEmulated {
                try host().apply(settings)
            } else {
                let made = try local.apply(settings, to: record.monitorProcess)
                try files { () throws(HostFileError) in try markPath.replaceQuickly(Array(made.utf8)) }
            }
        } catch {
            if !settings.isEmpty { throw error }
        }
    }

    /// Removes it, once the monitor has ended.
    func remove() {
        guard markPath.exists else { return }
        if record.isEmulated {
            // A host that is gone has taken its groups along.
            if let host = try? host(), !host.remove() { return }
        } else if !localGroup.remove() {
            return
        }
        try? markPath.removeFile()
    }

    private func host() throws(FleetError) -> EmulatedControlGroup {
        guard let host = EmulatedHost(try Launchers.hostSettings(store.paths)).running() else {
            throw FleetError(.notRunning, "the emulated host in which \"\(record.name)\" ran is gone")
        }
        return EmulatedControlGroup(
            host: host, name: name,
            configurationPath: store.folder(record.id).appending("monitor.json").description)
    }
}
