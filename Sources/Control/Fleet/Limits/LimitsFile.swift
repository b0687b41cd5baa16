import HostFiles

/// The limits of a machine that were changed after it was made, in a file of their own beside its record.
///
/// The record is its owner's alone, who writes it without looking; this file is written by who changes limits, holding
/// `LimitsLock`. Where it is there it stands above the record.
extension MachineStore {
    static let limitsFile = "limits.json"

    /// Nil where nobody has changed any.
    static func changedLimits(in folder: HostPath) -> MachineLimits? {
        read(MachineLimits.self, from: folder.appending(limitsFile))
    }

    func write(_ limits: MachineLimits, of record: MachineRecord) throws(FleetError) {
        try write(limits, Self.limitsFile, of: record)
    }
}
