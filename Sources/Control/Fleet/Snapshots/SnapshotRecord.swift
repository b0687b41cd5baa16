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

    /// Nil in what an earlier version has written down: its program ran.
    private var isTemplate: Bool?
    /// Whether the machine's program ran; otherwise a clone starts one.
    public var runsProgram: Bool {
        get { isTemplate != true }
        set { isTemplate = newValue ? nil : true }
    }
    private var isMadeForWarmStarts: Bool?
    /// Whether machines that start warm are clones of it, without anybody naming it.
    var isForWarmStarts: Bool {
        get { !runsProgram || isMadeForWarmStarts == true }
        set { isMadeForWarmStarts = newValue ? true : nil }
    }
    /// Root of the memory's hash tree, 64 digits: each page is checked before a clone sees it. Nil: the tree is not there.
    public var memoryRoot: String?
    private var diskList: [SnapshotDisk]?
    /// Those that the machine writes to.
    public var disks: [SnapshotDisk] {
        get { diskList ?? [] }
        set { diskList = newValue.isEmpty ? nil : newValue }
    }
    private var attachmentList: [DeviceAttachment]?
    /// The devices that had been attached when it was made.
    public var attachments: [DeviceAttachment] {
        get { attachmentList ?? [] }
        set { attachmentList = newValue.isEmpty ? nil : newValue }
    }
    /// Those of the machine, then those that had been attached.
    var allDisks: [MachineSpecification.Disk] { specification.allDisks + attachments.compactMap(\.disk) }
    /// Nil in what an earlier version has written down, and where that would understand it.
    private var format: Int?
    var fileNames: [String] {
        [Self.stateName, Self.memoryName] + (memoryRoot == nil ? [] : [MemoryTree.fileName]) + disks.map(\.fileName)
    }

    init(
        id: String, name: String, createdSeconds: Int64, machineID: String, machineName: String,
        specification: MachineSpecification, runsProgram: Bool = true, disks: [SnapshotDisk] = [],
        attachments: [DeviceAttachment] = []
    ) {
        self.id = id
        self.name = name
        self.createdSeconds = createdSeconds
        self.machineID = machineID
        self.machineName = machineName
        self.specification = specification
        (stateBytes, memoryBytes) = (0, 0)
        self.runsProgram = runsProgram
        self.disks = disks
        self.attachments = attachments
        format = attachments.isEmpty ? nil : Self.newestFormat
    }

    /// 2: there are attached devices.
    private static let newestFormat = 2

    /// - Throws: for what a newer version has written down, which may mean something else by it.
    func checkFormat() throws(SnapshotError) {
        guard let format, format > Self.newestFormat else { return }
        throw SnapshotError(
            .newerVersion,
            "the snapshot \"\(name)\" was made by a newer version of Swiftlet, in format \(format); this one reads up to \(Self.newestFormat): use that version, or a newer one"
        )
    }

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

/// A disk that a machine writes to, as it was when the machine was written down.
public struct SnapshotDisk: Codable, Equatable, Sendable {
    /// Among all disks of the machine, from 0; behind them are those that had been attached.
    public var place: Int
    public var sizeBytes: UInt64

    var fileName: String { "disk\(place)" }
}
