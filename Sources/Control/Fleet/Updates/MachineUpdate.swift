import AgentClient
import LinuxCalls

/// How a change of a machine came out.
public enum UpdateOutcome: Equatable, Sendable {
    /// It is that already.
    case unchanged
    /// It is what it was to become, and what it was can be gone back to.
    case kept
    /// It does not run, and was not tried.
    case changed
    /// It is what it was.
    case rolledBack(reason: String)
}

/// Changes one machine: writes both versions down, ends it, begins it as the other, watches it, and keeps it or goes back.
///
/// Whoever is killed at any moment leaves the machine for `settle`, which makes it the attempt's `survivor` again.
struct MachineUpdate {
    let fleet: MachineFleet
    let surroundings: any UpdateSurroundings
    /// Those that are handed in to the machine whenever it begins.
    var files: [HandedInFile] = []

    private var store: MachineStore { fleet.store }

    /// - Parameter next: what the machine is to become, of what it is; nil for what it was before.
    /// - Throws: when nothing was changed, or when the machine is what it was and could not be begun again.
    func run(
        _ kind: UpdateAttempt.Kind, _ record: MachineRecord,
        to next: ((MachineSpecification) throws -> MachineSpecification)? = nil
    ) throws -> UpdateOutcome {
        let lock = try UpdateLock(record, in: store.folder(record.id))
        defer { extendLifetime(lock) }
        try settle(locked: record)
        // As it is now: the lock was taken after it had been looked at.
        let record = try store.find(record.id)
        if let hindrance = fleet.hindrance(to: record) { throw hindrance }
        var versions = try store.versions(record)
        guard var wanted = try next?(record.specification) ?? versions.previous else {
            throw FleetError(
                .noPrevious, "the machine \"\(record.name)\" has not been updated, so there is nothing to go back to")
        }
        // A template is of one image.
        if next != nil, wanted.imageDigest != record.specification.imageDigest { wanted.origin = nil }
        if wanted.inBackground.isSame(as: record.specification.inBackground) { return .unchanged }
        var attempt = UpdateAttempt(
            kind: kind, from: record.specification.inBackground, to: wanted.inBackground,
            wasRunning: !record.state.isOver, startedSeconds: Int64(Clock.realTime.nanoseconds() / 1_000_000_000),
            bootIdentifier: MachineRecord.presentBoot)
        attempt.settingsGeneration = try surroundings.settingsGeneration(attempt.from)
        try surroundings.checkSettings(record, for: attempt.to)
        versions.attempt = attempt
        try versions.write(to: store.folder(record.id))
        do {
            try fleet.keepImages(of: record)
            try fleet.check(wanted, handingIn: files, of: record)
        } catch {
            versions.attempt = nil
            try? versions.write(to: store.folder(record.id))
            throw error
        }
        try surroundings.reached(.prepared)
        attempt.stage = .switching
        versions.attempt = attempt
        try versions.write(to: store.folder(record.id))
        try surroundings.reached(.switching)
        if let reason = try trouble(with: attempt, record) {
            return try goBack(versions, attempt, record, because: reason)
        }
        versions.attempt = nil
        versions.previous = attempt.from
        versions.last = UpdateNote(attempt, .kept)
        try versions.write(to: store.folder(record.id))
        try? fleet.keepImages(of: try store.find(record.id))
        try surroundings.reached(.kept)
        return attempt.wasRunning ? .kept : .changed
    }

    /// Why the machine cannot be what it is to become.
    enum Trouble: Error {
        case bad(String)
        case stopped
    }

    /// Makes the machine what it is to be, and runs and watches it, if it ran.
    private func trouble(with attempt: UpdateAttempt, _ record: MachineRecord) throws -> Trouble? {
        do {
            if attempt.wasRunning { try surroundings.stop(record) }
            try surroundings.reached(.stopped)
            try surroundings.adoptSettings(attempt.to, goingBackTo: nil)
            try surroundings.reached(.adopted)
            guard attempt.wasRunning else {
                try fleet.change(record, to: attempt.to)
                try surroundings.reached(.changed)
                return nil
            }
            let machine = try take(record, as: attempt.to)
            try surroundings.reached(.changed)
            try surroundings.start(machine)
        } catch let error as UpdateInterruption {
            throw error
        } catch let error as FleetError where error.code == .unknownMachine {
            throw error
        } catch {
            return .bad("\(error)")
        }
        try surroundings.reached(.started)
        let verdict: UpdateVerdict
        do {
            // A rollback was wanted whatever comes.
            verdict = attempt.kind == .rollback ? .good : try surroundings.judge(record)
        } catch let error as FleetError where error.code == .unknownMachine {
            throw error
        } catch {
            verdict = .bad(reason: "nobody could tell how it does: \(error)")
        }
        try surroundings.reached(.judged)
        return switch verdict {
        case .good: nil
        case .bad(let reason): .bad(reason)
        case .stopped: .stopped
        }
    }

    private func goBack(
        _ versions: MachineVersions, _ attempt: UpdateAttempt, _ record: MachineRecord, because trouble: Trouble
    ) throws -> UpdateOutcome {
        var reason = "it was stopped while it was being watched"
        var startsAgain = false
        if case .bad(let text) = trouble { (reason, startsAgain) = (text, attempt.wasRunning) }
        var versions = versions
        versions.attempt = nil
        versions.last = UpdateNote(attempt, .rolledBack, because: reason)
        let present = try store.find(record.id)
        if !present.state.isOver { try surroundings.stop(present) }
        try surroundings.reached(.ended)
        let failure = try becomeAgain(attempt.from, of: attempt, present, isRunning: startsAgain)
        try surroundings.reached(.startedAgain)
        try versions.write(to: store.folder(record.id))
        try? fleet.keepImages(of: try store.find(record.id))
        try surroundings.reached(.rolledBack)
        if let failure {
            throw FleetError(
                .notBegunAgain,
                "the machine \"\(record.name)\" is what it was, for \(reason); but it could not be begun again: \(failure)"
            )
        }
        return .rolledBack(reason: reason)
    }

    /// Makes a machine that has ended what it was, and runs it if that is wanted.
    /// - Returns: why it does not run.
    /// - Throws: when it is not what it was.
    private func becomeAgain(
        _ specification: MachineSpecification, of attempt: UpdateAttempt, _ record: MachineRecord, isRunning: Bool
    ) throws -> (any Error)? {
        // First: whether it can be run is another matter.
        try fleet.change(record, to: specification)
        do {
            try surroundings.adoptSettings(
                specification, goingBackTo: attempt.kind == .update ? attempt.settingsGeneration : nil)
        } catch {
            return error
        }
        try surroundings.reached(.changedBack)
        guard isRunning else { return nil }
        do {
            try surroundings.start(try take(record, as: specification))
            return nil
        } catch let error as UpdateInterruption {
            throw error
        } catch {
            return error
        }
    }

    private func take(
        _ record: MachineRecord, as specification: MachineSpecification
    ) throws -> OwnedMachine {
        guard let machine = try fleet.reopen(record, as: specification, handingIn: files) else {
            throw FleetError(
                .stillRunning, "somebody has started the machine \"\(record.name)\" while it was being changed")
        }
        return machine
    }

    // MARK: - What was interrupted

    /// Puts right what a change has left whose process was killed.
    /// - Returns: whether there was something; and why the machine does not run though it should.
    @discardableResult
    func settle(_ record: MachineRecord) throws -> SettledUpdate? {
        let lock = try UpdateLock(record, in: store.folder(record.id))
        defer { extendLifetime(lock) }
        return try settle(locked: record)
    }

    @discardableResult
    private func settle(locked record: MachineRecord) throws -> SettledUpdate? {
        var versions = try store.versions(record)
        guard let attempt = versions.attempt else { return nil }
        let survivor = attempt.survivor
        let present = try store.find(record.id)
        var failure: (any Error)?
        var isBegun = false
        // Until it was written down that it may be ended, nobody has touched it. From then on nobody knows who was told
        // what, so it is ended and begun.
        if attempt.stage == .switching {
            if !present.state.isOver { try surroundings.stop(present) }
            // After a restart of this computer it comes back where its policy says so, and only there.
            let isSameBoot = attempt.bootIdentifier == MachineRecord.presentBoot
            isBegun = attempt.wasRunning && isSameBoot
            failure = try becomeAgain(survivor, of: attempt, present, isRunning: isBegun)
        }
        versions.attempt = nil
        if attempt.kind == .rollback, attempt.stage == .switching { versions.previous = attempt.from }
        versions.last = UpdateNote(attempt, .interrupted)
        try versions.write(to: store.folder(record.id))
        try? fleet.keepImages(of: try store.find(record.id))
        return SettledUpdate(attempt: attempt, isBegun: isBegun && failure == nil, failure: failure.map { "\($0)" })
    }
}

extension MachineSpecification {
    /// Whether a machine would be the same, whatever its image is called.
    public func isSame(as other: MachineSpecification) -> Bool {
        var other = other
        other.image = image
        return self == other
    }
}

/// Thrown by a test in place of a `kill -9`: nothing is put right.
struct UpdateInterruption: Error {}

/// What became of a change that was interrupted.
public struct SettledUpdate: Sendable {
    public var attempt: UpdateAttempt
    /// Whether the machine was begun.
    public var isBegun: Bool
    /// Why it was not, though it should.
    public var failure: String?
}
