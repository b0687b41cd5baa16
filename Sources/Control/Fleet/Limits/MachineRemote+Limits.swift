import AgentClient
import HostFiles
import LinuxCalls

extension MachineRemote {
    private static let limitsPatienceMilliseconds: UInt64 = 10_000
    private static let leastProgressMebibytes = 16
    private static let emulatedPatienceMilliseconds: UInt64 = 120_000

    /// How a change came out that needs the guest's help.
    public struct LimitsOutcome: Equatable, Sendable {
        /// What the guest was to give back and has not, in MiB; it does when it can.
        public var missingMebibytes = 0
        /// What was plugged into it and is in use. Nobody asks for it any more.
        public var keptMebibytes = 0
        /// What it was to take and has not.
        public var untakenMebibytes = 0
    }

    /// How much of a change of memory the guest has done, in MiB.
    public typealias MemoryProgress = (_ done: Int, _ of: Int) -> Void

    /// Changes the machine's limits: of one that runs at once, of others when they run again.
    ///
    /// Either all of them are changed or none. Of several commands at once each finds what the one before has left.
    /// - Parameters:
    ///   - waitsForMemory: whether to wait until the guest has what memory it is to have.
    ///   - change: from the limits that there are to those that are wanted.
    public static func setLimits(
        of reference: String, in store: MachineStore, waitsForMemory: Bool, progress: MemoryProgress = { _, _ in },
        _ change: (inout MachineLimits, MachineRecord) throws -> Void
    ) throws -> LimitsOutcome {
        let found = try store.find(reference)
        let changed = try store.withLimitsLock(found) { () -> (MachineRemote, MachineLimits)? in
            // What another command has written meanwhile.
            let record = try store.find(found.id)
            var limits = record.specification.limits
            try change(&limits, record)
            try limits.check(record.specification)
            let before = record.specification.limits
            let remote = MachineRemote(record, store: store)
            guard record.state == .running || record.state == .paused else {
                try store.write(limits, of: record)
                // Its program may have begun to run before its owner could see that.
                if let now = try? store.find(record.id), now.state == .running {
                    try MachineRemote(now, store: store).apply(limits, from: before)
                }
                return nil
            }
            do {
                try remote.apply(limits, from: before)
                try store.write(limits, of: record)
            } catch {
                try? remote.apply(before, from: limits)
                throw error
            }
            return record.state == .paused || !waitsForMemory ? nil : (remote, limits)
        }
        guard let (remote, limits) = changed else { return LimitsOutcome() }
        return try remote.awaitMemory(limits, progress)
    }

    /// Has a machine that runs keep these limits from now on.
    func apply(_ limits: MachineLimits, from before: MachineLimits) throws(FleetError) {
        if ControlGroups.Settings(limits) != ControlGroups.Settings(before) {
            try ControlGroups(store: store, record: record).apply(limits)
        }
        let attached = store.attachments(of: record)
        for request in limits.requests(from: before, record, attached: attached) {
            try control.change(request.resource, request.body)
        }
        try askForMemory(limits)
    }

    /// Asks the guest for what can be asked for now; see `GuestMemoryState.requests`.
    func askForMemory(_ limits: MachineLimits) throws(FleetError) {
        let specification = record.specification
        let (asked, now) = try control.memoryState(specification)
        let target = GuestMemoryState(limits, specification)
        let isLess = target.plugged < asked.plugged || target.balloon > asked.balloon
        guard record.state != .paused || !isLess || now.plugged == 0 else {
            throw FleetError(
                .paused,
                "the machine \"\(record.name)\" is paused, and must run to give back what was plugged; let it go on first: swiftlet resume \(record.name)"
            )
        }
        let load = target.plugged < now.plugged ? try? load() : nil
        let spare = load.map { GuestMemoryState.spare(availableBytes: $0.availableBytes, totalBytes: $0.memoryBytes) }
        for request in target.requests(asked: asked, now: now, spare: spare) {
            try control.change(request.resource, request.body)
        }
    }

    /// Waits until the guest has given back or taken what it is to, as far as it does.
    private func awaitMemory(
        _ limits: MachineLimits, _ progress: MemoryProgress
    ) throws -> LimitsOutcome {
        let specification = record.specification
        let target = GuestMemoryState(limits, specification)
        let patience = record.isEmulated ? Self.emulatedPatienceMilliseconds : Self.limitsPatienceMilliseconds
        var deadline = Deadline(afterMilliseconds: patience)
        var (former, marked): (GuestMemoryState?, Int?)
        while let (asked, now) = try? control.memoryState(specification) {
            if now == target, asked == target { return LimitsOutcome() }
            if deadline.isOver { return target.outcome(now) }
            if asked != target {
                // Unless somebody else wants other limits by now.
                try store.withLimitsLock(record) {
                    guard try store.find(record.id).specification.limits == limits else { return }
                    try askForMemory(limits)
                }
            }
            if former == nil { former = now }
            if let former {
                let (done, all) = target.progress(now, from: former)
                if all > 0 { progress(done, all) }
            }
            // A guest that takes or gives blocks goes on doing so.
            if let place = marked, abs(place &- now.plugged) >= Self.leastProgressMebibytes {
                deadline = Deadline(afterMilliseconds: patience)
                marked = now.plugged
            }
            marked = marked ?? now.plugged
            LinuxCalls.sleep(nanoseconds: 100_000_000)
        }
        return LimitsOutcome()
    }
}

extension OwnedMachine {
    /// For the owner, when the program runs: what somebody has changed since the monitor's configuration was written.
    func catchUpWithLimits() {
        let before = record.specification.limits
        try? store.withLimitsLock(record) {
            guard let limits = MachineStore.changedLimits(in: folder), limits != before else { return }
            try MachineRemote(record, store: store).apply(limits, from: before)
            takeChangedLimits()
        }
    }
}

extension MachineOwner {
    private static let plugMilliseconds: UInt64 = 2000
    private static let emulatedPlugMilliseconds: UInt64 = 20_000

    /// Gives a guest that has just begun the memory that its limits say beside what it begins with, before its program looks. One that
    /// goes on from a snapshot may have more than that, and is asked to give it back.
    ///
    /// A guest that does not take it is not kept from running its program.
    func plugMemory() {
        let wanted = specification.pluggedMebibytes(specification.limits)
        guard wanted > 0 || specification.memoryMaximumMebibytes != nil && machine.restorePoint != nil else { return }
        let remote = MachineRemote(machine.record, store: machine.store)
        guard (try? remote.askForMemory(specification.limits)) != nil else { return }
        let deadline = Deadline(
            afterMilliseconds: launcher.isEmulated ? Self.emulatedPlugMilliseconds : Self.plugMilliseconds)
        while !deadline.isOver, let now = try? remote.control.pluggedMemory(), now.plugged_size_mib < wanted {
            LinuxCalls.sleep(nanoseconds: 10_000_000)
        }
    }
}

extension MachineStore {
    private static let lockMilliseconds: UInt64 = 60_000

    /// One command at a time changes the limits of a machine.
    func withLimitsLock<Result>(_ record: MachineRecord, _ body: () throws -> Result) throws -> Result {
        let taken: MachineLock?
        do throws(LinuxError) {
            taken = try MachineLock.take(
                in: folder(record.id), fileName: "limits.lock", withinMilliseconds: Self.lockMilliseconds)
        } catch {
            throw FleetError(.unusableFolder, "cannot use \(folder(record.id)): \(error)")
        }
        guard let lock = taken else {
            throw FleetError(
                .busy,
                "another command changes the limits of the machine \"\(record.name)\"; try again when it has ended")
        }
        defer { extendLifetime(lock) }
        return try body()
    }
}
