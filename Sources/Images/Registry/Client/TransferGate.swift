import Synchronization

/// Lets a number of transfers run at a time; the others wait in the order in which they came.
final class TransferGate: Sendable {
    private struct State {
        var freePlaces: Int
        var nextIdentifier: UInt64 = 0
        var waiting: [(identifier: UInt64, continuation: CheckedContinuation<Bool, Never>)] = []
        /// Cancelled before they began to wait.
        var cancelled: Set<UInt64> = []
    }
    private let state: Mutex<State>

    init(places: Int) { state = Mutex(State(freePlaces: max(1, places))) }

    func pass<R: Sendable>(
        _ body: () async throws(RegistryError) -> R
    ) async throws(RegistryError) -> R {
        guard await enter() else { throw RegistryError(.cancelled, "cancelled") }
        defer { leave() }
        return try await body()
    }

    /// False when the task was cancelled; it has no place then.
    private func enter() async -> Bool {
        let identifier = state.withLock { state in
            state.nextIdentifier += 1
            return state.nextIdentifier
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let result: Bool? = state.withLock { state in
                    if state.cancelled.remove(identifier) != nil { return false }
                    if state.freePlaces > 0 {
                        state.freePlaces -= 1
                        return true
                    }
                    state.waiting.append((identifier, continuation))
                    return nil
                }
                if let result { continuation.resume(returning: result) }
            }
        } onCancel: {
            let waiting = state.withLock { state in
                if let index = state.waiting.firstIndex(where: { $0.identifier == identifier }) {
                    return state.waiting.remove(at: index).continuation as CheckedContinuation<Bool, Never>?
                }
                state.cancelled.insert(identifier)
                return nil
            }
            waiting?.resume(returning: false)
        }
    }

    private func leave() {
        let next = state.withLock { state in
            if state.waiting.isEmpty {
                state.freePlaces += 1
                return nil as CheckedContinuation<Bool, Never>?
            }
            return state.waiting.removeFirst().continuation
        }
        next?.resume(returning: true)
    }
}
