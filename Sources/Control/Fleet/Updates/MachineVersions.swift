import CLinux
import FoundationEssentials
import HostFiles
import LinuxCalls

/// What a machine was before, and what it is just becoming: a file beside its record, replaced in one step that survives a
/// power loss. Only who holds the machine's `UpdateLock` writes it.
public struct MachineVersions: Codable, Equatable, Sendable {
    /// What `rollback` goes back to.
    public internal(set) var previous: MachineSpecification?
    /// Nil but while the machine is being changed; one without a living process behind it was interrupted.
    public internal(set) var attempt: UpdateAttempt?
    /// How the last change came out.
    public internal(set) var last: UpdateNote?

    static let fileName = "versions.json"
    private static let mostBytes = 12 << 20

    init() {}

    /// Of a machine that was never changed: nothing.
    static func read(from folder: HostPath) throws(FleetError) -> MachineVersions {
        let bytes: [UInt8]
        do throws(HostFileError) { bytes = try folder.appending(fileName).readWhole(limit: mostBytes) } catch {
            if error.isAbsent { return MachineVersions() }
            throw FleetError(.unusableFolder, "\(error)")
        }
        guard let versions = try? JSONDecoder().decode(MachineVersions.self, from: Data(bytes)) else {
            throw FleetError(
                .damagedRecord,
                "what is written down about the machine's versions cannot be read (\(folder)/\(fileName)); without that file nothing is known of an update, and the machine is what its record says"
            )
        }
        return versions
    }

    func write(to folder: HostPath) throws(FleetError) {
        guard let data = try? JSONEncoder().encode(self) else {
            throw FleetError(.unusableFolder, "the machine's versions cannot be written as JSON")
        }
        // A folder that was removed meanwhile is not made anew.
        try files { () throws(HostFileError) in
            try folder.appending(Self.fileName).replaceWhole([UInt8](data), mode: 0o600)
        }
    }

    /// Those that must stay for it.
    var imageDigests: Set<String> {
        Set([previous, attempt?.from, attempt?.to].compactMap { $0?.imageDigest })
    }
}

/// A change of a machine that has begun.
///
/// At each moment one of the two specifications is the machine's own, whoever dies: the `survivor`, until the attempt is
/// taken off the file, in the same step in which the other is written down as the previous one.
public struct UpdateAttempt: Codable, Equatable, Sendable {
    public enum Kind: String, Codable, Sendable {
        case update
        case rollback
    }

    public enum Stage: String, Codable, Sendable {
        /// Both are written down; the machine is as it was.
        case prepared
        /// The machine is being ended, changed, begun, judged, or changed back.
        case switching
    }

    public var kind: Kind
    public var stage = Stage.prepared
    public var from: MachineSpecification
    public var to: MachineSpecification
    /// Whether the machine ran, and is to run afterwards.
    public var wasRunning: Bool
    public var startedSeconds: Int64
    /// Of the settings, when it began, where they go with the version.
    var settingsGeneration: UInt64?
    /// Of this computer, when it began.
    var bootIdentifier: String?

    /// What the machine is if nobody finishes this: an update was not judged, a rollback was wanted whatever comes.
    public var survivor: MachineSpecification { kind == .update ? from : to }
}

/// How a change of a machine came out.
public struct UpdateNote: Codable, Equatable, Sendable {
    public enum Outcome: String, Codable, Sendable {
        case kept
        /// It did not do, and the machine is what it was.
        case rolledBack = "rolled-back"
        /// Who did it was killed.
        case interrupted
    }

    public var seconds: Int64
    public var kind: UpdateAttempt.Kind
    public var outcome: Outcome
    public var fromImage: String
    public var fromDigest: String
    public var toImage: String
    public var toDigest: String
    public var reason: String?

    init(_ attempt: UpdateAttempt, _ outcome: Outcome, because reason: String? = nil) {
        seconds = Int64(Clock.realTime.nanoseconds() / 1_000_000_000)
        kind = attempt.kind
        self.outcome = outcome
        (fromImage, fromDigest) = (attempt.from.image, attempt.from.imageDigest)
        (toImage, toDigest) = (attempt.to.image, attempt.to.imageDigest)
        self.reason = reason
    }
}

/// Held by whoever changes a machine, for as long as that takes; the kernel lets go of it when that process ends.
struct UpdateLock: ~Copyable {
    private static let fileName = "update.lock"
    private let file: HostFile

    /// - Throws: `busy` when somebody else changes the machine, `unknownMachine` when it is gone.
    init(_ record: MachineRecord, in folder: HostPath) throws(FleetError) {
        let opened = try Self.open(record, in: folder)
        guard opened.tryLock() else {
            throw FleetError(
                .busy, "the machine \"\(record.name)\" is just being updated or rolled back; wait until that is done")
        }
        file = opened
    }

    private static func open(_ record: MachineRecord, in folder: HostPath) throws(FleetError) -> HostFile {
        do throws(HostFileError) {
            return try HostFile(folder.appending(fileName), [.readWrite, .create], mode: 0o600)
        } catch {
            if error.isAbsent { throw MachineStore.removed(record) }
            throw FleetError(.unusableFolder, "\(error)")
        }
    }
}

extension MachineStore {
    public func versions(_ record: MachineRecord) throws(FleetError) -> MachineVersions {
        try MachineVersions.read(from: folder(record.id))
    }
}
