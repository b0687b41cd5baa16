import Synchronization

/// How fast a blob moves, and whether it hardly does.
final class TransferPace: Sendable {
    private struct State {
        var movedBytes: UInt64 = 0
        /// Whether we ourselves are busy with what came, so that its sender is not to blame.
        var isBusyHere = false
    }
    private let state = Mutex(State())

    func moved(_ bytes: UInt64) { state.withLock { $0.movedBytes += bytes } }

    /// Marks time in which nothing is asked of the other side.
    func busy<R, E>(_ body: () throws(E) -> R) throws(E) -> R {
        state.withLock { $0.isBusyHere = true }
        defer { state.withLock { $0.isBusyHere = false } }
        return try body()
    }

    /// Runs `body`, and ends it when less than `leastBytes` move within `limit` and we are not
    /// busy ourselves.
    func watched<R: Sendable>(
        limit: Duration, leastBytes: UInt64, host: String, _ body: @escaping @Sendable () async throws -> R
    ) async throws -> R {
        try await withThrowingTaskGroup(of: R?.self) { group in
            group.addTask { try await body() }
            group.addTask { [self] in
                var before = state.withLock { $0.movedBytes }
                while true {
                    try await Task.sleep(for: limit)
                    let (now, isExcused) = state.withLock { ($0.movedBytes, $0.isBusyHere) }
                    if now - before < leastBytes && !isExcused { return nil }
                    before = now
                }
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let result = first else {
                throw RegistryError(
                    .timedOut, "\(host) stalls: less than \(leastBytes) bytes in \(limit)", isTransient: true)
            }
            return result
        }
    }
}
