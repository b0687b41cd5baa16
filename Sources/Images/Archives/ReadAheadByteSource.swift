import LinuxCalls
import Synchronization

/// Reads another source in a thread of its own, a few pieces ahead of whoever reads this one: so decompression goes on beside
/// what is done with its outcome.
///
/// The thread ends with the source, or when this is let go and the piece that it reads has come.
public final class ReadAheadByteSource: ByteSource {
    private let queue = PieceQueue()
    private var piece: [UInt8] = []
    private var start = 0
    private var hasEnded = false

    /// - Parameter source: nobody else uses it from now on.
    public init(_ source: any ByteSource) throws(ArchiveError) {
        // SAFETY: handed over to the thread, which alone uses it from now on, as the caller has promised.
        nonisolated(unsafe) let source = source
        do throws(LinuxError) {
            try startThread(stackBytes: 512 << 10) { [queue] in unsafe queue.fill(from: source) }
        } catch {
            throw .damagedCompression("no thread for reading ahead: \(error)")
        }
    }

    deinit { queue.abandon() }

    public func read(into buffer: inout [UInt8]) throws(ArchiveError) -> Int {
        if start == piece.count {
            if hasEnded { return 0 }
            piece = try queue.take(givingBack: piece).get()
            start = 0
            hasEnded = piece.isEmpty
        }
        let count = min(buffer.count, piece.count - start)
        buffer.replaceBytes(at: 0, with: piece, start..<(start + count))
        start += count
        return count
    }
}

/// Pieces on their way from one thread to another.
private final class PieceQueue: Sendable {
    typealias Piece = Result<[UInt8], ArchiveError>

    private struct State {
        var ready: [Piece] = []
        var used: [[UInt8]] = []
        var isAbandoned = false
    }

    private let state = Mutex(State())
    /// Changes whenever the state does, for whoever waits for that.
    private let changes = Atomic<UInt32>(0)

    private static let capacity = 4
    private static let pieceBytes = 1 << 18

    /// Waits until `body` has something to say about the state.
    private func wait<R: Sendable>(_ body: (inout sending State) -> R?) -> R {
        while true {
            let seen = changes.load(ordering: .acquiring)
            if let result = state.withLock({ body(&$0) }) {
                tell()
                return result
            }
            waitOnAddress(changes, while: seen)
        }
    }

    private func tell() {
        changes.add(1, ordering: .releasing)
        wakeWaiters(changes, count: 2)
    }

    /// The next piece, empty at the end; the array of one that is used up is filled again.
    func take(givingBack used: [UInt8]) -> Piece {
        wait { state in
            if state.ready.isEmpty { return nil }
            if used.count == Self.pieceBytes { state.used.append(used) }
            return state.ready.removeFirst()
        }
    }

    func abandon() {
        state.withLock { $0.isAbandoned = true }
        tell()
    }

    /// Reads to the source's end, an error, or until nobody wants more.
    func fill(from source: any ByteSource) {
        while true {
            let array: [UInt8]? = wait { state in
                if state.isAbandoned { return .some(nil) }
                if state.ready.count == Self.capacity { return nil }
                return state.used.popLast() ?? [UInt8](repeating: 0, count: Self.pieceBytes)
            }
            guard let array else { return }
            let piece = Self.read(source, array)
            state.withLock { $0.ready.append(piece) }
            tell()
            if (try? piece.get())?.isEmpty ?? true { return }
        }
    }

    private static func read(_ source: any ByteSource, _ array: consuming [UInt8]) -> Piece {
        var array = array
        do throws(ArchiveError) {
            let count = try source.read(into: &array)
            array.removeLast(array.count - count)
            return .success(array)
        } catch {
            return .failure(error)
        }
    }
}
