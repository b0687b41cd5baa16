import AgentClient
import HostFiles
import LinuxCalls

/// Standing still and going on, by the monitor's control socket.
extension MachineRemote {
    var control: MonitorControl {
        get throws(FleetError) {
            MonitorControl(record, domain: try Launchers.sockets(of: record, paths: store.paths))
        }
    }

    private var pauseMark: HostPath { store.folder(record.id).appending(PauseMark.fileName) }

    /// Has the machine stand still. One that does is left so.
    public func pause() throws {
        try withControlLock { () throws(FleetError) in
            try checkRunsProgram()
            try standStill()
        }
    }

    /// Lets the machine go on. One that runs is left so.
    public func resume() throws { try withControlLock { () throws(FleetError) in try goOn() } }

    /// For who holds the lock.
    func standStill() throws(FleetError) {
        let wasMarked = pauseMark.exists
        try files { () throws(HostFileError) in try pauseMark.replaceQuickly([]) }
        do throws(FleetError) { try control.pause() } catch {
            if !wasMarked { try? pauseMark.removeFile() }
            throw error
        }
    }

    /// For who holds the lock.
    func goOn() throws(FleetError) {
        // One that goes on is not where it was any more.
        Suspension.remove(from: store.folder(record.id), keepsMemory: record.isEmulated)
        try control.resume()
        try? pauseMark.removeFile()
    }

    func checkRunsProgram() throws(FleetError) {
        let state = MachineRecord.read(from: store.folder(record.id))?.state ?? .failed
        guard state == .running else {
            throw FleetError(.notRunning, "the machine \"\(record.name)\" runs no program (it is \(state.rawValue))")
        }
    }

    /// One command at a time pauses, resumes or saves a machine; whoever comes second waits a moment for the first.
    func withControlLock<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws -> Result {
        let folder = store.folder(record.id).appending(OwnedMachine.controlFolder)
        let taken: MachineLock?
        do throws(LinuxError) { taken = try MachineLock.take(in: folder, withinMilliseconds: 60_000) } catch {
            throw FleetError(
                .notRunning,
                "the machine \"\(record.name)\" has ended, or was started by an earlier version and cannot be controlled"
            )
        }
        guard let lock = taken else {
            throw FleetError(
                .busy,
                "another command is saving or pausing the machine \"\(record.name)\"; try again when it has ended")
        }
        defer { extendLifetime(lock) }
        return try body()
    }
}
