import FoundationEssentials
import HostFiles

/// The limits of a machine that were changed after it was made, in a file of their own beside its record.
///
/// The record is its owner's alone, who writes it without looking; this file is written by who changes limits, holding
/// `LimitsLock`. Where it is there it stands above the record.
extension MachineStore {
    static let limitsFile = "limits.json"
    private static let mostBytes = 1 << 20

    /// Nil where nobody has changed any.
    static func changedLimits(in folder: HostPath) -> MachineLimits? {
        guard let bytes = try? folder.appending(limitsFile).readWhole(limit: mostBytes) else { return nil }
        return try? JSONDecoder().decode(MachineLimits.self, from: Data(bytes))
    }

    func write(_ limits: MachineLimits, of record: MachineRecord) throws(FleetError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let data = try? encoder.encode(limits) else {
            throw FleetError(.unusableFolder, "the limits of \(record.name) cannot be written as JSON")
        }
        let path = folder(record.id).appending(Self.limitsFile)
        try files { () throws(HostFileError) in
            if record.outlivesPowerLoss {
                try path.replaceWhole([UInt8](data), mode: 0o600)
            } else {
                try path.replaceQuickly([UInt8](data))
            }
        }
    }
}
