import AgentClient
public import EmulatedHost

/// Chooses where monitors run.
public enum Launchers {
    /// `native` or `emulated` in this variable stands above what the machine can do: for tests.
    private static let choiceVariable = "SWIFTLET_MONITORS"

    /// This machine where its KVM runs kernels, and the emulated host, started if need be, where not.
    /// - Parameter report: told what is being done when it takes long: a line for a person.
    static func choose(_ paths: ProductPaths, report: (String) -> Void) throws(HostError) -> any MonitorLauncher {
        let isNative =
            switch ProductPaths.variable(choiceVariable) {
            case "native": true
            case "emulated": false
            default: KVMProbe.verdict().isUsable
            }
        if isNative { return LocalLauncher(runtime: paths.runtime) }
        return EmulatedLauncher(try EmulatedHost(hostSettings(paths)).start(report: report))
    }

    public static func hostSettings(_ paths: ProductPaths) -> HostSettings {
        HostSettings(dataFolder: paths.data, runtimeFolder: paths.runtime, libexecFolder: paths.libexec)
    }

    /// Where the sockets of a machine are that runs.
    static func sockets(of record: MachineRecord, paths: ProductPaths) throws(FleetError) -> any SocketDomain {
        guard record.isEmulated else { return LocalSockets() }
        guard let host = EmulatedHost(hostSettings(paths)).running() else {
            throw FleetError(.notRunning, "the emulated host in which \"\(record.name)\" ran is gone")
        }
        return host.sockets
    }
}
