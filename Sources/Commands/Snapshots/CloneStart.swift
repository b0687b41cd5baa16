import AgentClient
import Fleet
import LinuxCalls
import Synchronization

/// Begins machines in the background, several at a time, and prints them in their order as each one's program goes on.
final class CloneStart: Sendable {
    /// A start waits for the guest most of its time.
    private static let mostAtOnce = 4

    private enum Outcome {
        case started(BackgroundProcess)
        case failed(CommandFailure)
        /// Somebody wants no more: it is gone.
        case abandoned
    }

    private let isJSON: Bool
    private let signals: SignalWatcher
    private let ends: SharedEndRequest
    private let outcomes = Mutex<[Int: Outcome]>([:])
    private let next = Atomic<Int>(0)
    private let news: SharedEvent

    /// - Parameter signals: with the first that asks for the end, no further machine is begun, and those that nobody has been
    ///   told of are removed.
    init(asJSON isJSON: Bool, _ signals: SignalWatcher) throws {
        self.isJSON = isJSON
        self.signals = signals
        ends = try SharedEndRequest()
        news = try SharedEvent()
    }

    /// - Parameter make: makes the machine, called on this thread.
    /// - Throws: the last of what went wrong; the others have been told.
    func run(_ options: [CloneOptions], make: (CloneOptions) throws -> OwnedMachine?) throws {
        var machines: [OwnedMachine] = []
        var failure: CommandFailure?
        for each in options {
            if let signal = signals.endingSignal() {
                for machine in machines { Product.fleet.store.forget(machine) }
                throw CommandFailure(FleetError(endedBy: signal))
            }
            do {
                guard let machine = try make(each) else { break }
                do { try Product.fleet.keepImages(of: machine.record) } catch {
                    Product.fleet.store.forget(machine)
                    throw error
                }
                machines.append(machine)
            } catch {
                failure = CommandFailure(error)
                // What one cannot have, the next cannot have either.
                break
            }
        }
        let all = machines
        for _ in 0..<min(Self.mostAtOnce, all.count) {
            try startThread(stackBytes: 1 << 20) { [self] in
                while true {
                    let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
                    guard index < all.count else { return }
                    let outcome = begin(all[index])
                    outcomes.withLock { $0[index] = outcome }
                    news.signal()
                }
            }
        }
        let documents = report(all, &failure)
        if isJSON { Output.json(documents) }
        if let failure { throw failure }
    }

    private func begin(_ machine: OwnedMachine) -> Outcome {
        let fleet = Product.fleet
        guard ends.endingSignal() == nil else {
            fleet.store.forget(machine)
            return .abandoned
        }
        do {
            return .started(try fleet.runInBackground(machine, executable: Product.executable, signals: ends))
        } catch {
            let failure = CommandFailure(error)
            guard failure.isInterruption, ends.endingSignal() != nil else { return .failed(failure) }
            fleet.store.forget(machine)
            return .abandoned
        }
    }

    /// Tells of the machines in their order. Those that have begun when a signal comes, and wait for their turn, are ended.
    private func report(_ machines: [OwnedMachine], _ failure: inout CommandFailure?) -> [StartedDocument] {
        var documents: [StartedDocument] = []
        var unwanted: [(machine: OwnedMachine, process: BackgroundProcess)] = []
        var reported = 0
        while reported < machines.count {
            while let outcome = outcomes.withLock({ $0.removeValue(forKey: reported) }) {
                let machine = machines[reported]
                reported += 1
                switch outcome {
                case .started(let process) where ends.endingSignal() != nil:
                    process.askToEnd()
                    unwanted.append((machine, process))
                case .started:
                    documents.append(StartedDocument(id: machine.record.id, name: machine.record.name))
                    if !isJSON { Output.line(machine.record.id) }
                case .failed(let other) where ends.endingSignal() != nil: other.report(asJSON: isJSON)
                case .failed(let other):
                    failure?.report(asJSON: isJSON)
                    failure = other
                case .abandoned: break
                }
            }
            if reported == machines.count { break }
            let signalled = ends.endingSignal() != nil
            var entries = [
                PollEntry(reading: news.descriptor), PollEntry(reading: signalled ? -1 : signals.descriptor),
            ]
            wait(for: &entries, until: .never)
            if entries[0].isReady { news.drain() }
            if !signalled, let signal = signals.endingSignal() {
                failure?.report(asJSON: isJSON)
                failure = CommandFailure(
                    "machine.interrupted", "ended by signal \(signal); clones that were named go on")
                failure?.status = 128 + signal
                ends.make(signal)
            }
        }
        let deadline = Deadline(afterMilliseconds: BackgroundProcess.graceMilliseconds)
        for each in unwanted {
            each.process.end(by: deadline)
            Product.fleet.store.forget(each.machine)
        }
        return documents
    }
}
