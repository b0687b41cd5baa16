import AgentClient
public import EmulatedHost
import HostFiles

/// Chooses where monitors run.
public enum Launchers {
    /// `native` or `emulated` in this variable stands above what the machine can do: for tests.
    private static let choiceVariable = "SWIFTLET_MONITORS"
    /// Seconds that a guest may take until its agent answers, instead of the launcher's own.
    private static let patienceVariable = "SWIFTLET_BOOT_SECONDS"
    /// Seconds without a command after which the emulated host powers itself off; zero never does.
    private static let idleVariable = "SWIFTLET_HOST_IDLE_SECONDS"

    /// This machine where its KVM runs kernels, and the emulated host, started if need be, where not.
    /// - Parameter report: told what is being done when it takes long: a line for a person.
    static func choose(_ paths: ProductPaths, report: (String) -> Void) throws -> any MonitorLauncher {
        let patience = try seconds(patienceVariable)
        if isNative { return LocalLauncher(paths, patienceSeconds: patience) }
        return EmulatedLauncher(
            try EmulatedHost(hostSettings(paths)).start(report: report), patienceSeconds: patience)
    }

    private static var isNative: Bool {
        switch ProductPaths.variable(choiceVariable) {
        case "native": true
        case "emulated": false
        default: KVMProbe.verdict().isUsable
        }
    }

    /// Where monitors run already; nil when that is the emulated host, and it does not run.
    static func running(_ paths: ProductPaths) throws -> (any MonitorLauncher)? {
        if isNative { return LocalLauncher(paths, patienceSeconds: nil) }
        return EmulatedHost(try hostSettings(paths)).running().map { EmulatedLauncher($0, patienceSeconds: nil) }
    }

    public static func hostSettings(_ paths: ProductPaths) throws(FleetError) -> HostSettings {
        var settings = HostSettings(
            dataFolder: paths.data, runtimeFolder: paths.runtime, libexecFolder: paths.libexec)
        if let idle = try seconds(idleVariable) { settings.idleSeconds = idle }
        return settings
    }

    private static func seconds(_ name: String) throws(FleetError) -> UInt32? {
        guard let text = ProductPaths.variable(name) else { return nil }
        guard let seconds = UInt32(text), seconds <= 1_000_000 else {
            throw FleetError(.invalidSetting, "\(name) is \"\(text)\"; it takes whole seconds, at most 1000000")
        }
        return seconds
    }

    /// Where the sockets of a machine are that runs.
    static func sockets(of record: MachineRecord, paths: ProductPaths) throws(FleetError) -> any SocketDomain {
        guard record.isEmulated else { return LocalSockets() }
        let settings = try hostSettings(paths)
        guard let host = EmulatedHost(settings).running() else {
            // Its record may be there, and only not to be read.
            try files { () throws(HostFileError) in
                do throws(HostFileError) { _ = try HostFile(HostPath(settings.recordFile)) } catch {
                    if !error.isMissing { throw error }
                }
            }
            throw FleetError(.notRunning, "the emulated host in which \"\(record.name)\" ran is gone")
        }
        return host.sockets
    }
}
