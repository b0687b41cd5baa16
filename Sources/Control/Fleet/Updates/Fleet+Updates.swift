public import AgentClient
public import ImageStore

extension MachineFleet {
    /// What a machine would be, made of another image: what was said beside its image holds.
    /// - Throws: for a machine that an earlier version has made, and for what cannot be.
    public func specification(
        of present: MachineSpecification, madeOf image: StoredImage, called name: String
    ) throws(FleetError) -> MachineSpecification {
        guard let overrides = present.overrides else {
            throw FleetError(
                .unknownOverrides,
                "an earlier version of this program has made the machine, and did not write down what was said beside its image; run it anew once"
            )
        }
        var next = present
        try next.take(image, called: name, with: overrides)
        do {
            try take(image, &next)
        } catch let error as FleetError {
            throw error
        } catch {
            throw FleetError(.invalidSetting, "\(error)")
        }
        return next
    }

    /// What keeps a machine from being changed, whatever it is to become.
    public func hindrance(to record: MachineRecord) -> FleetError? {
        let specification = record.specification
        if specification.removesItself {
            return FleetError(
                .invalidSetting,
                "the machine \"\(record.name)\" is forgotten when it ends (--rm), so it cannot become something else; run it anew"
            )
        }
        if store.isSuspended(record) {
            return FleetError(
                .invalidSetting,
                "the machine \"\(record.name)\" is suspended, and what is in its memory belongs to its image; let it go on first: swiftlet resume \(record.name)"
            )
        }
        if let origin = specification.origin, origin.runsProgram {
            return FleetError(
                .invalidSetting,
                "the machine \"\(record.name)\" is a clone of \"\(origin.name)\" and begins where that stood, with the image that it had; run a machine of the new image instead"
            )
        }
        if !specification.isDetached, !record.state.isOver {
            return FleetError(
                .invalidSetting,
                "the machine \"\(record.name)\" runs in front of somebody, whose command would end with it; only machines in the background are changed while they run"
            )
        }
        return nil
    }

    /// Changes a machine, and goes back by itself where that does not do.
    /// - Parameter next: what it is to become, of what it is; nil for what it was before.
    public func change(
        _ kind: UpdateAttempt.Kind, _ record: MachineRecord, executable: String, signals: SignalWatcher?,
        handingIn files: [HandedInFile] = [], trial: UpdateTrial = UpdateTrial(),
        report: @escaping (UpdateStep) -> Void, to next: ((MachineSpecification) throws -> MachineSpecification)? = nil
    ) throws -> UpdateOutcome {
        let surroundings = MachineSurroundings(
            fleet: self, executable: executable, signals: signals, files: files, trial: trial, report: report)
        return try MachineUpdate(fleet: self, surroundings: surroundings, files: files).run(kind, record, to: next)
    }

    /// Puts right what a change has left whose process was killed; nil where there is nothing of that.
    public func settle(
        _ record: MachineRecord, executable: String, signals: SignalWatcher?, handingIn files: [HandedInFile] = []
    ) throws -> SettledUpdate? {
        // Most machines were never changed, and get no lock for that.
        guard try store.versions(record).attempt != nil else { return nil }
        let surroundings = MachineSurroundings(
            fleet: self, executable: executable, signals: signals, files: files, trial: UpdateTrial(), report: { _ in })
        return try MachineUpdate(fleet: self, surroundings: surroundings, files: files).settle(record)
    }
}
