public import AgentProtocol
public import LinuxCalls
import Synchronization

/// Takes what a command writes. Called by one thread per stream, which may be blocked: that is the back-pressure.
public protocol OutputSink: AnyObject, Sendable {
    /// - Returns: false when nobody wants any more of this stream.
    func write(_ bytes: Span<UInt8>, from stream: ProcessStream) -> Bool
}

/// Standard output and standard error of this process.
public final class StandardOutputs: OutputSink {
    private let firstLoss = Mutex<OutputLoss?>(nil)

    public init() {}

    /// What has been lost, unless it is that a reader has gone away: that is a reader's right.
    public var loss: OutputLoss? { firstLoss.withLock { $0 } }

    public func write(_ bytes: Span<UInt8>, from stream: ProcessStream) -> Bool {
        do throws(LinuxError) {
            try writeWhole(bytes, to: stream == .standardError ? 2 : 1)
            return true
        } catch {
            if !error.isBrokenPipe { firstLoss.withLock { $0 = $0 ?? OutputLoss(stream: stream, error: error) } }
            return false
        }
    }
}

/// Output that could not be written.
public struct OutputLoss: Error, Equatable, CustomStringConvertible {
    public var stream: ProcessStream
    public var error: LinuxError

    public init(stream: ProcessStream, error: LinuxError) {
        self.stream = stream
        self.error = error
    }

    public var description: String {
        "standard \(stream == .standardError ? "error" : "output") cannot be written: \(error)"
    }
}

/// Several sinks; it wants more for as long as the first of them does.
public final class ForkedOutput: OutputSink {
    private let first: any OutputSink
    private let second: any OutputSink

    public init(_ first: any OutputSink, _ second: any OutputSink) {
        self.first = first
        self.second = second
    }

    public func write(_ bytes: Span<UInt8>, from stream: ProcessStream) -> Bool {
        let isWanted = first.write(bytes, from: stream)
        _ = second.write(bytes, from: stream)
        return isWanted
    }
}

/// Keeps what comes, for tests and for short answers.
public final class CollectedOutput: OutputSink {
    private let lock = FutexLock()
    private nonisolated(unsafe) var streams: [ProcessStream: [UInt8]] = [:]
    private let mostBytes: Int

    /// - Parameter mostBytes: of each stream; what was written last stays. To be given for programs that are not ours, which may
    ///   write without an end.
    public init(mostBytes: Int = .max) { self.mostBytes = mostBytes }

    public func write(_ bytes: Span<UInt8>, from stream: ProcessStream) -> Bool {
        lock.withLock {
            // SAFETY: the lock is held.
            unsafe streams[stream, default: []].append(contentsOf: bytes.withUnsafeBufferPointer { unsafe Array($0) })
            // SAFETY: the lock is held. Not with each byte more, which would move all of them each time.
            let count = unsafe streams[stream]?.count ?? 0
            // SAFETY: the lock is held.
            if count / 2 >= mostBytes { unsafe streams[stream]?.removeFirst(count - mostBytes) }
        }
        return true
    }

    public func bytes(of stream: ProcessStream) -> [UInt8] {
        // SAFETY: the lock is held.
        lock.withLock { unsafe (streams[stream] ?? []).suffix(mostBytes) }
    }

    /// What is in memory.
    var keptBytes: Int {
        // SAFETY: the lock is held.
        lock.withLock { unsafe streams.values.reduce(0) { $0 + $1.count } }
    }

    public func text(of stream: ProcessStream) -> String { String(decoding: bytes(of: stream), as: UTF8.self) }
}

/// Writes everything to a descriptor, also to one that somebody else has made non-blocking.
/// - Throws: EPIPE when the other end is gone, ENOSPC when the disk is full.
public func writeWhole(_ bytes: Span<UInt8>, to descriptor: Int32) throws(LinuxError) {
    // SAFETY: the span outlives the call.
    unsafe try bytes.withUnsafeBufferPointer { buffer throws(LinuxError) in
        var rest = UnsafeRawBufferPointer(buffer)
        while unsafe !rest.isEmpty {
            do throws(LinuxError) {
                let count = unsafe try write(descriptor, rest)
                unsafe rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            } catch {
                guard error.isTryAgain else { throw error }
                var entries = [PollEntry(writing: descriptor)]
                wait(for: &entries, until: .never)
            }
        }
    }
}
