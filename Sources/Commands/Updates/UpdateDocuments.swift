import Fleet

/// A machine as it was, for programs: names that stay.
struct VersionDocument: Encodable {
    var image: String
    var imageDigest: String
    var kernel: String
    var memoryMebibytes: Int
    var command: [String]

    init(_ specification: MachineSpecification) {
        image = specification.image
        imageDigest = specification.imageDigest
        kernel = specification.kernel
        memoryMebibytes = specification.memoryMebibytes
        command = specification.command
    }
}

/// A change that is not done.
struct AttemptDocument: Encodable {
    var kind: String
    var stage: String
    var started: String
    var from: VersionDocument
    var to: VersionDocument

    init(_ attempt: UpdateAttempt) {
        kind = attempt.kind.rawValue
        stage = attempt.stage.rawValue
        started = Timestamp.text(seconds: attempt.startedSeconds)
        from = VersionDocument(attempt.from)
        to = VersionDocument(attempt.to)
    }
}

/// How the last change came out.
struct UpdateNoteDocument: Encodable {
    var time: String
    var kind: String
    var outcome: String
    var fromImage: String
    var fromDigest: String
    var toImage: String
    var toDigest: String
    var reason: String?

    init(_ note: UpdateNote) {
        time = Timestamp.text(seconds: note.seconds)
        kind = note.kind.rawValue
        outcome = note.outcome.rawValue
        (fromImage, fromDigest) = (note.fromImage, note.fromDigest)
        (toImage, toDigest) = (note.toImage, note.toDigest)
        reason = note.reason
    }
}

/// What was done with a machine, or would be.
struct UpdateDocument: Encodable {
    enum Outcome: String, Encodable {
        case planned, updated, unchanged, failed, skipped
        /// It does not run, and was not tried.
        case changed
        case rolledBack = "rolled-back"
        /// By `rollback`.
        case wentBack = "went-back"
    }

    var id: String
    var name: String
    var outcome = Outcome.planned
    /// Whether the machine runs, so that it is ended and begun.
    var restarts: Bool
    var from: VersionDocument
    var to: VersionDocument
    var changes: [SpecificationChange]
    /// They stay what they are.
    var volumes: [String]
    var reason: String?

    init(_ record: MachineRecord, to next: MachineSpecification) {
        let present = record.specification
        (id, name) = (record.id, record.name)
        restarts = !record.state.isOver && !present.isSame(as: next)
        from = VersionDocument(present)
        to = VersionDocument(next)
        changes = present.changes(to: next)
        volumes = present.container.volumes.map(\.name)
    }

    /// One that cannot be changed.
    init(skipping record: MachineRecord, because reason: String) {
        self.init(record, to: record.specification)
        (outcome, self.reason) = (.skipped, reason)
    }

    /// For people, one line for each thing.
    var lines: [String] {
        if let reason { return ["\(name): stays as it is: \(reason)"] }
        let what = restarts ? "is ended and begun anew" : "does not run, and is not begun"
        let kept = volumes.isEmpty ? "" : "; stay: the volumes \(volumes.joined(separator: ", "))"
        return ["\(name): " + (changes.isEmpty ? "stays as it is" : what + kept)]
            + changes.map { "    \($0.what): \(Self.shown($0.from)) -> \(Self.shown($0.to))" }
    }

    private static func shown(_ text: String) -> String { text.isEmpty ? "-" : text }
}
