import FoundationEssentials
import HostFiles

/// What is written down about one volume.
public struct VolumeRecord: Codable, Equatable, Sendable {
    public var name: String
    public var sizeBytes: UInt64
    public var createdSeconds: Int64
    public var labels: [String: String] = [:]
    /// Whether the image's files at its place were copied to it, or need not be any more: it has been used.
    public var isFilled = false

    static let fileName = "volume.json"

    func write(to folder: HostPath) throws(VolumeError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let data = try? encoder.encode(self) else {
            throw VolumeError(.unusableFolder, "the record of the volume \(name) cannot be written as JSON")
        }
        // A volume outlives a power loss, and so does what is known about it.
        try volumeFiles { () throws(HostFileError) in
            try folder.appending(Self.fileName).replaceWhole([UInt8](data), mode: 0o600)
        }
    }

    static func read(from folder: HostPath) -> VolumeRecord? {
        guard let bytes = try? folder.appending(fileName).readWhole(limit: 1 << 20) else { return nil }
        return try? JSONDecoder().decode(VolumeRecord.self, from: Data(bytes))
    }
}
