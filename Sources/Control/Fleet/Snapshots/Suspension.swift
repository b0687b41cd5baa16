import FoundationEssentials
import HostFiles

/// What is written down about a machine that was suspended, beside its state and memory, in its folder. The file is there as
/// long as the machine is to go on from them.
struct Suspension: Codable, Equatable, Sendable {
    static let fileName = "suspended.json"
    static let stateName = "suspended.state"
    static let memoryName = "suspended.memory"

    /// A disk that the machine writes to, as it was left.
    struct Disk: Codable, Equatable, Sendable {
        var path: String
        var sizeBytes: UInt64
        var modifiedNanoseconds: Int64
    }

    var seconds: Int64
    /// What had been attached, too.
    var disks: [Disk]
    /// Nil where nothing had been attached.
    var attachments: [DeviceAttachment]?

    init(
        of specification: MachineSpecification, with attachments: [DeviceAttachment] = [], seconds: Int64
    ) throws(HostFileError) {
        self.seconds = seconds
        self.attachments = attachments.isEmpty ? nil : attachments
        disks = []
        for disk in specification.allDisks + attachments.compactMap(\.disk) where !disk.isReadOnly {
            disks.append(try Self.look(at: disk.path))
        }
    }

    private static func look(at path: String) throws(HostFileError) -> Disk {
        let status = try HostPath(path).status()
        return Disk(
            path: path, sizeBytes: status.sizeBytes,
            modifiedNanoseconds: status.modifiedSeconds * 1_000_000_000 + Int64(status.modifiedNanoseconds))
    }

    /// - Throws: when somebody has written to a disk since: the file system in the machine's memory would destroy it.
    func check(_ record: MachineRecord) throws(FleetError) {
        for disk in disks {
            let now = try files { () throws(HostFileError) in try Self.look(at: disk.path) }
            guard now == disk else {
                throw FleetError(
                    .diskChanged,
                    "the disk \(disk.path) was written to since the machine \"\(record.name)\" was suspended, which would destroy what is on it; let the machine boot anew: swiftlet resume --discard \(record.name)"
                )
            }
        }
    }

    func write(to folder: HostPath) throws(FleetError) {
        guard let data = try? JSONEncoder().encode(self) else {
            throw FleetError(.unusableFolder, "what is known of a suspended machine cannot be written as JSON")
        }
        try files { () throws(HostFileError) in
            try folder.appending(Self.fileName).replaceWhole([UInt8](data), mode: 0o600)
        }
    }

    static func read(from folder: HostPath) throws(FleetError) -> Suspension {
        let path = folder.appending(fileName)
        let bytes = try files { () throws(HostFileError) in try path.readWhole(limit: 1 << 20) }
        guard let suspension = try? JSONDecoder().decode(Suspension.self, from: Data(bytes)) else {
            throw FleetError(.damagedRecord, "\(path) cannot be read, so the machine cannot go on from where it was")
        }
        return suspension
    }

    /// In this order: what is half removed is not gone on from.
    /// - Parameter keepsMemory: for a machine that runs in the emulated host: what it has mapped is found by its name there, and
    ///   stays until the machine ends.
    static func remove(from folder: HostPath, keepsMemory: Bool = false) {
        for name in [fileName, stateName] { try? folder.appending(name).removeFile() }
        if !keepsMemory { try? folder.appending(memoryName).removeFile() }
    }
}
