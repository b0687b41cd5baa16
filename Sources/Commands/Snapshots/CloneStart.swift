import AgentClient
import Fleet
import LinuxCalls
import Synchronization

/// Begins machines in the background, several at a time, and prints them in their order as each one's program goes on.
final class CloneStart: Sendable {
    /// A start waits for the guest most of its time.
    private static let mostAtOnce = 4

    private enum Outcome {
        case started(StartedDocument)
        case failed(CommandFailure)
        /// Somebody wants no more.
        case abandoned
    }

    private let isJSON: Bool
    private let signals: SignalWatcher
    private let isInterrupted = Atomic<Bool>(false)
    private let outcomes = Mutex<[Int: Outcome]>([:])
    private let next = Atomic<Int>(0)
    private let news: SharedEvent

    /// - Parameter signals: with the first that asks for the end, no further machine is begun.
    init(asJSON isJSON: Bool, _ signals: SignalWatcher) throws {
        self.isJSON = isJSON
        self.signals = signals
        news = try SharedEvent()
    }

    /// - Parameter make: makes the machine, called on this thread.
    /// - Throws: the last of what went wrong; the others have been told.
    func run(_ options: [CloneOptions], make: (CloneOptions) throws -> OwnedMachine?) throws {
        var machines: [OwnedMachine] = []
        var failure: CommandFailure?
        for each in options {
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
        let documents = report(all.count, &failure)
        if isJSON { Output.json(documents) }
        if let failure { throw failure }
    }

    private func begin(_ machine: OwnedMachine) -> Outcome {
        if isInterrupted.load(ordering: .acquiring) {
            Product.fleet.store.forget(machine)
            return .abandoned
        }
        do {
            try Product.fleet.runInBackground(machine, executable: Product.executable)
            return .started(StartedDocument(id: machine.record.id, name: machine.record.name))
        } catch {
            return .failed(CommandFailure(error))
        }
    }

    private func report(_ count: Int, _ failure: inout CommandFailure?) -> [StartedDocument] {
        var documents: [StartedDocument] = []
        var reported = 0
        while reported < count {
            while let outcome = outcomes.withLock({ $0.removeValue(forKey: reported) }) {
                reported += 1
                switch outcome {
                case .started(let document):
                    documents.append(document)
                    if !isJSON { Output.line(document.id) }
                case .failed(let other):
                    failure?.report(asJSON: isJSON)
                    failure = other
                case .abandoned: break
                }
            }
            if reported == count { break }
            var entries = [PollEntry(reading: news.descriptor), PollEntry(reading: signals.descriptor)]
            wait(for: &entries, until: .never)
            if entries[0].isReady { news.drain() }
            while let signal = signals.next() {
                guard SignalWatcher.asksForTheEnd(signal) else { continue }
                isInterrupted.store(true, ordering: .releasing)
                var interrupted = CommandFailure(
                    "machine.interrupted", "ended by signal \(signal); what had begun runs")
                interrupted.status = 128 + signal
                failure = interrupted
            }
        }
        return documents
    }
}
