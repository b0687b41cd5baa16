import FoundationEssentials
import HostFiles
import ImageStore

/// What is said of a snapshot that is handed on, beside its files: what a machine is from within, and nothing of the computer
/// that it ran on. Paths, devices, networks, limits, policies and labels are that computer's own.
public struct SnapshotDescription: Codable, Equatable, Sendable {
    /// 2: there are attached devices. 3: there is plugged memory.
    public static let version = 3
    /// What every version of the artifact begins with.
    static let family = "application/vnd.swiftlet.snapshot."
    public static let artifactType = family + "v1"
    public static let mediaType = family + "description.v1+json"
    /// A tar of one file, compressed.
    public static let fileType = family + "file.v1.tar+gzip"
    public static let maximumBytes: UInt64 = 1 << 20

    public struct Image: Codable, Equatable, Sendable {
        /// What it was called.
        public var name: String
        /// As an image store names it: of its disk and its configuration.
        public var digest: String
        /// As a registry names it.
        public var manifest: String?
    }

    struct Interface: Codable, Equatable, Sendable {
        var name: String?
    }

    struct Disk: Codable, Equatable, Sendable {
        var isReadOnly: Bool
    }

    /// A device that had been attached while the machine ran: either of the two.
    struct Attached: Codable, Equatable, Sendable {
        /// The monitor's.
        var slot: Int
        var id: String
        var guestName: String
        /// Its file lies behind those of the disks that the machine was made with, in this order.
        var disk: Disk?
        var interface: Interface?
    }

    /// A file as it lies on a disk.
    public struct File: Codable, Equatable, Sendable {
        public var name: String
        public var sizeBytes: UInt64
        /// What is no hole of it.
        public var dataBytes: UInt64
    }

    struct Program: Codable, Equatable, Sendable {
        var command: [String]
        var environment: [String]
        var user: String
        var workingDirectory: String
        var hasTerminal: Bool
        var groups: [String]
        var stopSignal: UInt8
        var stopTimeoutSeconds: Double
        var healthCheck: HealthCheck?
        /// Lines of `/etc/hosts`: `NAME:ADDRESS`.
        var hosts: [String]
        var nameServers: [String]
        var searchDomains: [String]
    }

    /// The lowest that a reader must know.
    public var version = 1
    public var name: String
    var createdSeconds: Int64
    var machineID: String
    var machineName: String
    /// Of the processor, in OCI's words.
    var architecture: String
    public var image: Image
    var kernel: String
    var processors: Int
    var memoryMebibytes: Int
    /// What it can grow to; nil where it cannot.
    var memoryMaximumMebibytes: Int?
    /// What had been plugged beside what it began with; nil where nothing was, and before version 3.
    var pluggedMebibytes: Int?
    var hasConsole: Bool
    var interfaces: [Interface]
    /// By their places.
    var disks: [Disk]
    /// Nil where there is none, and in version 1.
    var attached: [Attached]?
    public var files: [File]
    /// Root of the memory's hash tree, 64 digits.
    var memoryRoot: String
    var program: Program

    /// How many interfaces the machine has, which need something to be connected to.
    var interfaceCount: Int { interfaces.count + (attached ?? []).count { $0.interface != nil } }

    /// Those that the machine was made with, then those that had been attached.
    var allDisks: [Disk] { disks + (attached ?? []).compactMap(\.disk) }

    /// - Parameter files: with their names and sizes.
    init(_ record: SnapshotRecord, manifest: String?, files: [File], memoryRoot: String) {
        let specification = record.specification
        let container = specification.container
        name = record.name
        createdSeconds = record.createdSeconds
        (machineID, machineName) = (record.machineID, record.machineName)
        architecture = ImportSettings.hostArchitecture
        image = Image(name: specification.image, digest: specification.imageDigest, manifest: manifest)
        kernel = specification.kernel
        (processors, memoryMebibytes) = (specification.processors, specification.memoryMebibytes)
        memoryMaximumMebibytes = specification.memoryMaximumMebibytes
        hasConsole = !specification.isWithoutConsole
        interfaces = specification.interfaces.filter { $0.network != .none }.map { Interface(name: $0.name) }
        disks = specification.allDisks.map { Disk(isReadOnly: $0.isReadOnly) }
        let attached = record.attachments.map { attachment in
            Attached(
                slot: attachment.slot ?? 0, id: attachment.id, guestName: attachment.guestName ?? "",
                disk: attachment.disk.map { Disk(isReadOnly: $0.isReadOnly) },
                interface: attachment.interface.map { Interface(name: $0.name) })
        }
        if !attached.isEmpty { (version, self.attached) = (2, attached) }
        self.files = files
        self.memoryRoot = memoryRoot
        program = Program(
            command: specification.command, environment: specification.environment, user: specification.user,
            workingDirectory: specification.workingDirectory, hasTerminal: specification.hasTerminal,
            groups: container.groups, stopSignal: container.stopSignal,
            stopTimeoutSeconds: container.stopTimeoutSeconds, healthCheck: container.healthCheck,
            hosts: container.hostEntries.map { "\($0.name):\($0.address)" }, nameServers: container.nameServers,
            searchDomains: container.searchDomains)
        // What lies behind the memory is less than that.
        let plugged = Int(clamping: (file(SnapshotRecord.memoryName)?.sizeBytes ?? 0) >> 20) - memoryMebibytes
        if plugged > 0 { (version, pluggedMebibytes) = (3, plugged) }
    }

    var encoded: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Texts and numbers; the one that may be no number is checked where it is read.
        return (try? encoder.encode(self)).map { Array($0) } ?? []
    }

    // MARK: Files

    static func diskName(_ place: Int) -> String { "disk\(place)" }

    func file(_ name: String) -> File? { files.first { $0.name == name } }

    var dataBytes: UInt64 { files.reduce(0) { $0 &+ $1.dataBytes } }
}
