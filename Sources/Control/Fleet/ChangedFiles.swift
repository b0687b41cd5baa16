import FoundationEssentials
import HostFiles

/// What was changed of a machine after it was made, in files beside its record: the record belongs to the machine's owner.
extension MachineStore {
    /// Nil where there is none that can be read.
    static func read<Value: Decodable>(_ type: Value.Type, from path: HostPath) -> Value? {
        guard let bytes = try? path.readWhole(limit: 1 << 20) else { return nil }
        return try? JSONDecoder().decode(type, from: Data(bytes))
    }

    func write(_ value: some Encodable, _ name: String, of record: MachineRecord) throws(FleetError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let data = try? encoder.encode(value) else {
            throw FleetError(.unusableFolder, "\(name) of \(record.name) cannot be written as JSON")
        }
        let path = folder(record.id).appending(name)
        try files { () throws(HostFileError) in
            if record.outlivesPowerLoss {
                try path.replaceWhole([UInt8](data), mode: 0o600)
            } else {
                try path.replaceQuickly([UInt8](data))
            }
        }
    }
}
