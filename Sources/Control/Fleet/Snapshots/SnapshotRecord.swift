import FoundationEssentials
import HostFiles

/// What is written down about one snapshot.
public struct SnapshotRecord: Codable, Equatable, Sendable {
    public var id: String
    public var name: String
    public var createdSeconds: Int64
    /// The machine that it was made of, which may be gone.
    public var machineID: String
    public var machineName: String
    /// What the machine was.
    public var specification: MachineSpecification
    public var stateBytes: UInt64
    /// Of the memory file; where the machine never wrote, it has holes and takes no room.
    public var memoryBytes: UInt64

    static let fileName = "snapshot.json"
    static let stateName = "state"
    static let memoryName = "memory"

    func write(to folder: HostPath) throws(SnapshotError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let data = try? encoder.encode(self) else {
            throw SnapshotError(.unusableFolder, "the record of the snapshot \(name) cannot be written as JSON")
        }
        // A snapshot outlives a power loss, and so does what is known about it.
        try snapshotFiles { () throws(HostFileError) in
            try folder.appending(Self.fileName).replaceWhole([UInt8](data), mode: 0o600)
        }
    }

    /// Nil for what is not such a record.
    static func read(from folder: HostPath) -> SnapshotRecord? {
        guard let bytes = try? folder.appending(fileName).readWhole(limit: 4 << 20) else { return nil }
        return try? JSONDecoder().decode(SnapshotRecord.self, from: Data(bytes))
    }
}
