import HostFiles

/// The empty file in a machine's folder that says that the machine stands still.
///
/// Made before the monitor pauses, and removed after it has let the machine go on: whoever is killed in between leaves a
/// machine that is known to be paused, and can be resumed. The record itself is the owner's alone.
enum PauseMark {
    static let fileName = "paused"
}

extension MachineStore {
    /// Whether a machine that has not ended stands still until somebody resumes it. One that a command holds up for a moment
    /// does not.
    public func isPaused(_ record: MachineRecord) -> Bool {
        hasPauseMark(record) && !MachineLock.isHeld(in: folder(record.id).appending(OwnedMachine.controlFolder))
    }

    func hasPauseMark(_ record: MachineRecord) -> Bool {
        !record.state.isOver && folder(record.id).appending(PauseMark.fileName).exists
    }

    func withPause(_ record: MachineRecord) -> MachineRecord {
        guard record.state == .running, isPaused(record) else { return record }
        var record = record
        record.state = .paused
        return record
    }
}

extension OwnedMachine {
    /// In the machine's folder: what its monitor writes.
    static let controlFolder = "control"

    /// Before a monitor starts: nothing stands still yet, and nothing is left of a snapshot that was not finished.
    /// - Returns: the folder in which the monitor makes files.
    func prepareControl() throws(FleetError) -> String {
        try? folder.appending(PauseMark.fileName).removeFile()
        let path = folder.appending(Self.controlFolder)
        MachineStore.removeFiles(in: path)
        try files { () throws(HostFileError) in try path.makeFolders(mode: 0o700) }
        return path.description
    }
}
