public import AgentProtocol
import LinuxCalls

/// Takes what a command writes. Called by one thread per stream, which may be blocked: that is the back-pressure.
public protocol OutputSink: AnyObject, Sendable {
    /// - Returns: false when nobody wants any more of this stream.
    func write(_ bytes: Span<UInt8>, from stream: ProcessStream) -> Bool
}

/// Standard output and standard error of this process.
public final class StandardOutputs: OutputSink {
    public init() {}

    public func write(_ bytes: Span<UInt8>, from stream: ProcessStream) -> Bool {
        writeWhole(bytes, to: stream == .standardError ? 2 : 1)
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

    public init() {}

    public func write(_ bytes: Span<UInt8>, from stream: ProcessStream) -> Bool {
        lock.withLock {
            // SAFETY: the lock is held.
            unsafe streams[stream, default: []].append(contentsOf: bytes.withUnsafeBufferPointer { unsafe Array($0) })
        }
        return true
    }

    public func bytes(of stream: ProcessStream) -> [UInt8] {
        // SAFETY: the lock is held.
        lock.withLock { unsafe streams[stream] ?? [] }
    }

    public func text(of stream: ProcessStream) -> String { String(decoding: bytes(of: stream), as: UTF8.self) }
}

/// Writes everything to a descriptor, also to one that somebody else has made non-blocking.
/// - Returns: false when the other end is gone or the disk is full.
public func writeWhole(_ bytes: Span<UInt8>, to descriptor: Int32) -> Bool {
    // SAFETY: the span outlives the call.
    unsafe bytes.withUnsafeBufferPointer { buffer in
        var rest = UnsafeRawBufferPointer(buffer)
        while unsafe !rest.isEmpty {
            do throws(LinuxError) {
                let count = unsafe try write(descriptor, rest)
                unsafe rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            } catch {
                guard error.isTryAgain else { return false }
                var entries = [PollEntry(writing: descriptor)]
                wait(for: &entries, until: .never)
            }
        }
        return true
    }
}
