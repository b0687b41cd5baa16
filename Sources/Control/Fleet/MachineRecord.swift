import EmulatedHost
import FoundationEssentials
import Glibc
import HostFiles

/// Where a machine is in its life.
public enum MachineState: String, Codable, Sendable {
    /// Written down; its monitor or its guest is not there yet.
    case starting
    /// The program runs.
    case running
    /// The program stands still, with its whole machine. Written down beside the record: see `PauseMark`.
    case paused
    /// The program ended, and is run again soon.
    case restarting
    /// The program ended; `exitStatus` is there.
    case exited
    /// It ended without the program's exit status; `failure` says why.
    case failed
    /// It was written down as it stood, and ended; its program goes on when it is begun again.
    case suspended

    public var isOver: Bool { self == .exited || self == .failed || self == .suspended }
}

/// What is written down about one machine.
public struct MachineRecord: Codable, Equatable, Sendable {
    public var id: String
    public var name: String
    public var state = MachineState.starting
    public var specification: MachineSpecification
    public var createdSeconds: Int64
    public var startedSeconds: Int64?
    public var endedSeconds: Int64?
    /// The process that holds the machine's lock.
    public internal(set) var ownerProcess: Int32
    /// When that process started, by which it is told from a later one with its number.
    var ownerStartTicks: UInt64?
    /// Of the monitor on this machine; nil inside the emulated host.
    public var monitorProcess: Int32?
    public var isEmulated = false
    /// The monitor's `uds_path`; inside the emulated host where `isEmulated`.
    public var socketPath: String
    /// Which of the networks of two is this machine's, if it has one.
    private var networkNumber: Int?
    /// Where it has several, those behind the first.
    private var furtherNetworkNumbers: [Int]?
    /// Of the interfaces for which a device is made, in their order.
    var networkNumbers: [Int] {
        get { (networkNumber.map { [$0] } ?? []) + (furtherNetworkNumbers ?? []) }
        set {
            networkNumber = newValue.first
            furtherNetworkNumbers = newValue.count > 1 ? Array(newValue.dropFirst()) : nil
        }
    }
    public var exitStatus: Int32?
    public var failure: String?
    /// Nil as long as the guest has found nothing wrong.
    public var imageDamage: ImageDamage?
    /// The first of each disk; nil as long as there is none.
    public var diskFailures: [DiskFailure]?
    /// How often the program was run again.
    public var restartCount: Int?
    /// How often somebody had it boot anew.
    var resetCount: Int?
    /// The last of these, the newest last.
    public var restarts: [RestartNote]?
    /// Whether somebody has ended it: `stop` or `kill`, or its health for good.
    public var isStopped: Bool?
    /// Whether its owner ended without a word, so that a monitor may be left.
    var isOrphaned: Bool?
    /// Of this computer, when the machine had its last owner.
    var bootIdentifier: String?

    init(
        id: String, name: String, specification: MachineSpecification, createdSeconds: Int64, socketPath: String
    ) {
        self.id = id
        self.name = name
        self.specification = specification
        self.createdSeconds = createdSeconds
        self.socketPath = socketPath
        ownerProcess = 0
        takeOver()
    }

    /// Makes this process the owner.
    mutating func takeOver() {
        ownerProcess = getpid()
        ownerStartTicks = ProcessIdentity(running: ownerProcess)?.startTicks
        bootIdentifier = Self.presentBoot
    }

    /// What this computer calls the time since it was started. Source: proc(5), sys/kernel/random/boot_id.
    static var presentBoot: String? {
        (try? HostPath("/proc/sys/kernel/random/boot_id").readWhole(limit: 100)).map {
            String(decoding: $0, as: UTF8.self).filter { !$0.isWhitespace }
        }
    }

    /// Whether it is to be found whole after a power loss: it runs by itself, and stays on record.
    var outlivesPowerLoss: Bool { specification.isDetached && !specification.removesItself }

    /// The owner, if it still runs. One that wrote no time, of an earlier version, is believed to.
    var owner: ProcessIdentity? {
        guard let running = ProcessIdentity(running: ownerProcess) else { return nil }
        return ownerStartTicks == nil || ownerStartTicks == running.startTicks ? running : nil
    }

    static let fileName = "record.json"
    private static let maximumBytes = 4 << 20

    func write(to folder: HostPath) throws(FleetError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let data = try? encoder.encode(self) else {
            throw FleetError(.unusableFolder, "the record of \(name) cannot be written as JSON")
        }
        let path = folder.appending(Self.fileName)
        try files { () throws(HostFileError) in
            if outlivesPowerLoss {
                try path.replaceWhole([UInt8](data), mode: 0o600)
            } else {
                try path.replaceQuickly([UInt8](data))
            }
        }
    }

    /// For a disk that is full: the bytes that the record has already are written over. One that ends in the middle leaves
    /// a record that cannot be read.
    func overwrite(in folder: HostPath) throws(HostFileError) {
        let path = folder.appending(Self.fileName)
        guard let data = try? JSONEncoder().encode(self) else { return }
        let size = Int(truncatingIfNeeded: try path.status().sizeBytes)
        // JSON may be followed by blanks.
        try HostFile(path, [.writeOnly]).write(
            [UInt8](data) + [UInt8](repeating: 0x20, count: max(0, size - data.count)))
    }

    /// Nil for what is not such a record.
    static func read(from folder: HostPath) -> MachineRecord? {
        guard let bytes = try? folder.appending(fileName).readWhole(limit: maximumBytes) else { return nil }
        guard var record = try? JSONDecoder().decode(MachineRecord.self, from: Data(bytes)) else { return nil }
        if let limits = MachineStore.changedLimits(in: folder) { record.specification.limits = limits }
        if let published = MachineStore.changedPublished(in: folder) { record.specification.published = published }
        if let egress = MachineStore.changedEgress(in: folder) { record.specification.egress = egress.rules }
        if record.state.isOver, record.boots, let declared = DeclaredInterfaces.read(from: folder) {
            record.take(declared)
        }
        return record
    }
}

extension HostPath {
    /// As `replaceWhole`, without waiting for the disk: for what need not survive a power loss.
    func replaceQuickly(_ content: [UInt8], mode: UInt32 = 0o600) throws(HostFileError) {
        let temporary = HostPath("\(self).new-\(processID())")
        do throws(HostFileError) {
            try HostFile(temporary, [.writeOnly, .create, .truncate], mode: mode).write(content)
            try temporary.rename(to: self)
        } catch {
            try? temporary.removeFile()
            throw error
        }
    }
}

/// Translates what the file system said.
func files<Result: ~Copyable>(_ body: () throws(HostFileError) -> Result) throws(FleetError) -> Result {
    do throws(HostFileError) { return try body() } catch {
        throw FleetError(
            error.isDiskFull ? .diskFull : .unusableFolder,
            error.isDiskFull ? "\(error); make room and try again" : "\(error)")
    }
}
