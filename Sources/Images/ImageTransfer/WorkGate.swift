import LinuxCalls

/// Lets a bounded number of long computations run at once, each in a thread of its own, so that what waits for the network goes
/// on beside them.
actor WorkGate {
    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(atOnce: Int) { free = max(1, atOnce) }

    func run(_ body: @escaping @Sendable () throws -> Void) async throws {
        await enter()
        defer { leave() }
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            do throws(LinuxError) {
                try startThread(stackBytes: 1 << 20) { done.resume(with: Result(catching: body)) }
            } catch {
                done.resume(throwing: error)
            }
        }
    }

    private func enter() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    private func leave() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
}
