import AgentClient
import HostFiles
import LinuxCalls

extension MachineRemote {
    private static let balloonMilliseconds: UInt64 = 10_000
    private static let emulatedBalloonMilliseconds: UInt64 = 60_000

    /// How a change came out that needs the guest's help.
    public struct LimitsOutcome: Equatable, Sendable {
        /// What the guest was to give back and has not, in MiB.
        public var missingMebibytes = 0
    }

    /// Changes the machine's limits: of one that runs at once, of others when they run again.
    ///
    /// Either all of them are changed or none. Of several commands at once each finds what the one before has left.
    /// - Parameter change: from the limits that there are to those that are wanted.
    public static func setLimits(
        of reference: String, in store: MachineStore, _ change: (inout MachineLimits, MachineRecord) throws -> Void
    ) throws -> LimitsOutcome {
        let found = try store.find(reference)
        let changed = try store.withLimitsLock(found) { () -> (MachineRemote, MachineLimits, MachineLimits)? in
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
            return record.state == .paused ? nil : (remote, limits, before)
        }
        guard let (remote, limits, before) = changed else { return LimitsOutcome() }
        return remote.awaitBalloon(limits, from: before)
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
    }

    /// Waits until the guest has given back what it is to, as far as it does, or has it again.
    private func awaitBalloon(_ limits: MachineLimits, from before: MachineLimits) -> LimitsOutcome {
        let size = record.specification.memoryMebibytes
        let target = limits.balloonMebibytes(of: size)
        let former = before.balloonMebibytes(of: size)
        guard target != former else { return LimitsOutcome() }
        let deadline = Deadline(
            afterMilliseconds: record.isEmulated ? Self.emulatedBalloonMilliseconds : Self.balloonMilliseconds)
        while true {
            guard let held = try? control.counters().balloon?.actual_mib else { return LimitsOutcome() }
            if target > former ? held >= target : held <= target { return LimitsOutcome() }
            if deadline.isOver { return LimitsOutcome(missingMebibytes: max(0, target &- held)) }
            LinuxCalls.sleep(nanoseconds: 100_000_000)
        }
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
