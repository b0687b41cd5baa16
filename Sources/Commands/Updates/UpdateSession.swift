import AgentClient
import Fleet

/// Changes machines and tells of it.
struct UpdateSession {
    /// Of a machine that was rolled back by itself.
    static let rolledBackStatus: Int32 = 1

    let isJSON: Bool
    let signals: SignalWatcher
    let files: [HandedInFile]
    var trial = UpdateTrial()

    typealias Change = (MachineSpecification) throws(FleetError) -> MachineSpecification
    typealias Planned = (record: MachineRecord, document: UpdateDocument)

    /// One machine.
    func run(_ kind: UpdateAttempt.Kind, _ record: MachineRecord, _ document: UpdateDocument, _ next: Change?) throws {
        let result = try change(kind, record, document, next)
        if isJSON { Output.json([result]) }
        if let failure = Self.failure(result) { throw failure }
    }

    /// One after the other, until one does not become what it should.
    func run(_ planned: [Planned], _ next: @escaping Change, keepGoing: Bool) throws {
        var results: [UpdateDocument] = []
        var last: CommandFailure?
        for (record, document) in planned {
            var result = document
            if document.outcome == .skipped || last != nil && !keepGoing {
                result.outcome = .skipped
                results.append(result)
                continue
            }
            var failure: CommandFailure?
            do {
                result = try change(.update, record, document, next)
                failure = Self.failure(result)
            } catch {
                let reason = CommandFailure(error)
                (result.outcome, result.reason) = (.failed, reason.message)
                failure = CommandFailure(reason.code, "\(record.name): \(reason.message)")
            }
            results.append(result)
            guard let failure else { continue }
            last?.report(asJSON: isJSON)
            last = failure
        }
        if isJSON { Output.json(results) }
        let skipped = last == nil ? [] : results.filter { $0.outcome == .skipped && $0.reason == nil }.map(\.name)
        if !skipped.isEmpty, !isJSON {
            let names = skipped.joined(separator: ", ")
            Output.error("swiftlet: left as they are for that: \(names) (--keep-going goes on)")
        }
        if let last { throw last }
    }

    private static func failure(_ result: UpdateDocument) -> CommandFailure? {
        guard result.outcome == .rolledBack else { return nil }
        var failure = CommandFailure(
            "update.rolled-back",
            "the machine \"\(result.name)\" is what it was, made of \(result.from.image): \(result.reason ?? "")")
        failure.status = rolledBackStatus
        return failure
    }

    private func change(
        _ kind: UpdateAttempt.Kind, _ record: MachineRecord, _ document: UpdateDocument, _ next: Change?
    ) throws -> UpdateDocument {
        var result = document
        let name = record.name
        let outcome = try Product.fleet.change(
            kind, record, executable: Product.executable, signals: signals, handingIn: files, trial: trial,
            report: { step in
                if !isJSON, let text = Self.text(step, document) { Output.error("\(name): \(text)") }
            }, to: next)
        let told: String
        switch outcome {
        case .unchanged:
            result.outcome = .unchanged
            told = "\(name) is made of \(document.to.image) as it is now; there is nothing to do"
        case .kept:
            result.outcome = kind == .update ? .updated : .wentBack
            told = name
        case .changed:
            result.outcome = .changed
            told = "\(name), which does not run, and so was not tried"
        case .rolledBack(let reason):
            (result.outcome, result.reason) = (.rolledBack, reason)
            return result
        }
        if !isJSON { Output.line(told) }
        return result
    }

    /// What is told of a step while it is done.
    private static func text(_ step: UpdateStep, _ document: UpdateDocument) -> String? {
        switch step {
        case .prepared: "both versions are written down"
        case .switching: document.restarts ? "ending it" : nil
        case .stopped: document.restarts ? "beginning it with \(document.to.image)" : nil
        case .started: "its program runs"
        case .ended: "that does not do; going back to \(document.from.image)"
        case .adopted, .changed, .judged, .kept, .changedBack, .startedAgain, .rolledBack: nil
        }
    }
}
