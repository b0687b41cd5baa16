import AgentProtocol
import LinuxCalls

/// Connections of the agent that have not said yet whose they are.
///
/// Trust: none. The guest may connect as often as it likes and say nothing; that holds up nobody, and too many at once take
/// the place of the oldest.
struct WaitingStreams {
    /// A guest that shares its processor with a hundred others takes seconds to go on after it has connected.
    static let patienceMilliseconds: UInt64 = 60_000
    static let most = 8

    private struct Waiting {
        let socket: AgentSocket
        var bytes: [UInt8] = []
        let deadline = Deadline(afterMilliseconds: patienceMilliseconds)
    }

    private var waiting: [Waiting] = []

    var isEmpty: Bool { waiting.isEmpty }
    var descriptors: [Int32] { waiting.map(\.socket.number) }

    mutating func add(_ socket: AgentSocket) {
        if waiting.count >= Self.most { waiting.removeFirst() }
        waiting.append(Waiting(socket: socket))
    }

    /// Reads what is there; those that have said all are taken out, those that end or take too long are closed.
    mutating func take() -> [(opening: Opening, socket: AgentSocket)] {
        var complete: [(opening: Opening, socket: AgentSocket)] = []
        var rest: [Waiting] = []
        for var each in waiting where !each.deadline.isOver {
            if waitUntilReadable(each.socket.number, until: Deadline(afterMilliseconds: 0)) {
                let missing = Opening.byteCount - each.bytes.count
                guard
                    (try? each.socket.readSome(appendingTo: &each.bytes, maximumBytes: missing, until: .never)) == true
                else { continue }
            }
            if each.bytes.count < Opening.byteCount {
                rest.append(each)
            } else if let opening = try? Opening(decoding: each.bytes) {
                complete.append((opening, each.socket))
            }
        }
        waiting = rest
        return complete
    }
}
