public import AgentClient
public import AgentProtocol
import HostFiles
import LinuxCalls
import Synchronization

/// A file that never grows over its bound: when it is full it becomes `FILE.1`, in place of the one before.
final class BoundedLog: Sendable {
    private struct State: ~Copyable {
        var file: HostFile?
        var sizeBytes = 0
    }

    private let path: HostPath
    private let maximumBytes: Int
    private let lock = FutexLock()
    private nonisolated(unsafe) var state: State

    init(_ path: HostPath, maximumBytes: Int) {
        self.path = path
        self.maximumBytes = maximumBytes
        unsafe state = State()
    }

    /// A full disk loses the text, not the machine.
    func append(_ bytes: [UInt8]) {
        lock.withLock {
            // SAFETY, for all of `state`: the lock is held.
            if unsafe state.file != nil, unsafe state.sizeBytes + bytes.count > maximumBytes {
                return unsafe beginNext(with: bytes, &state)
            }
            if unsafe state.file == nil {
                unsafe state.file = try? HostFile(path, [.writeOnly, .create, .append], mode: 0o600)
                unsafe state.sizeBytes = Int(truncatingIfNeeded: (try? path.status().sizeBytes) ?? 0)
            }
            guard unsafe state.file != nil else { return }
            do throws(HostFileError) {
                unsafe try state.file?.write(bytes)
                unsafe state.sizeBytes += bytes.count
            } catch {
                // Some of it may have been written.
                unsafe state.sizeBytes = Int(truncatingIfNeeded: (try? path.status().sizeBytes) ?? 0)
            }
        }
    }

    /// Begins the next file; the full one takes the place of the one before only when the next can be written, or a flood
    /// on a full disk would put nothing in the place of everything.
    private func beginNext(with bytes: [UInt8], _ state: inout State) {
        let next = HostPath("\(path).new")
        do throws(HostFileError) {
            let file = try HostFile(next, [.writeOnly, .create, .truncate, .append], mode: 0o600)
            try file.write(bytes)
            try path.rename(to: HostPath("\(path).1"))
            try next.rename(to: path)
            state.file = consume file
            state.sizeBytes = bytes.count
        } catch {
            try? next.removeFile()
        }
    }
}

/// What a guest's console and its monitor say: kept for people, and shown if they wish.
final class ConsoleSink: OutputSink {
    private static let maximumBytes = 1 << 20
    private let log: BoundedLog
    private let isShown: Atomic<Bool>

    init(_ path: HostPath, isShown: Bool) {
        log = BoundedLog(path, maximumBytes: Self.maximumBytes)
        self.isShown = Atomic(isShown)
    }

    func write(_ bytes: Span<UInt8>, from stream: ProcessStream) -> Bool {
        // SAFETY: the buffer is copied inside the closure.
        log.append(unsafe bytes.withUnsafeBufferPointer { unsafe Array($0) })
        if isShown.load(ordering: .relaxed) { try? writeWhole(bytes, to: 2) }
        return true
    }

    /// What comes from now on is only kept: the end of a machine that has done its work is no news.
    func hide() { isShown.store(false, ordering: .relaxed) }
}

/// A program's output as lines with their time and stream.
///
/// Layout, as Kubernetes' container runtimes have it: `TIME STREAM F TEXT`, where `P` instead of `F` says that the line
/// goes on in the next entry of that stream.
public final class OutputLog: OutputSink {
    static let maximumBytes = 8 << 20
    private static let maximumLineBytes = 16 << 10
    private let log: BoundedLog

    public init(path: String) { log = BoundedLog(HostPath(path), maximumBytes: Self.maximumBytes) }

    public func write(_ bytes: Span<UInt8>, from stream: ProcessStream) -> Bool {
        // SAFETY: the buffer is copied inside the closure.
        let bytes = unsafe bytes.withUnsafeBufferPointer { unsafe Array($0) }
        let head = Array(
            "\(Timestamp.text(nanoseconds: Clock.realTime.nanoseconds())) \(stream == .standardError ? "stderr" : "stdout") "
                .utf8)
        var entries: [UInt8] = []
        entries.reserveCapacity(bytes.count + head.count * 2)
        var rest = bytes[...]
        while !rest.isEmpty {
            let limit = rest.prefix(Self.maximumLineBytes)
            let end = limit.firstIndex(of: 0x0a)
            entries += head
            entries += end == nil ? [0x50, 0x20] : [0x46, 0x20]
            entries += end.map { rest[..<$0] } ?? limit
            entries.append(0x0a)
            rest = end.map { rest[($0 + 1)...] } ?? rest.dropFirst(limit.count)
        }
        log.append(entries)
        return true
    }
}

/// Times as programs sort them and people read them.
public enum Timestamp {
    /// `2026-11-21T03:43:51.123456789Z`. Source: RFC 3339; the day from the count of days by Howard Hinnant's algorithm.
    public static func text(nanoseconds: UInt64, digits: Int = 9) -> String {
        let seconds = Int(nanoseconds / 1_000_000_000)
        let (year, month, day) = date(days: seconds / 86_400)
        let time = seconds % 86_400
        var text = "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T"
        text += "\(padded(time / 3600, 2)):\(padded(time / 60 % 60, 2)):\(padded(time % 60, 2))"
        if digits > 0 { text += "." + padded(Int(nanoseconds % 1_000_000_000), 9).prefix(digits) }
        return text + "Z"
    }

    /// Trust: none; a record or a floppy may hold any number. What lies beyond the year 2500 is shown as that.
    public static func text(seconds: Int64) -> String {
        text(nanoseconds: UInt64(min(max(0, seconds), lastSecond)) * 1_000_000_000, digits: 0)
    }

    /// 2500-01-01. Nanoseconds as 64 bits end in 2554.
    private static let lastSecond: Int64 = 16_725_225_600

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }

    private static func date(days: Int) -> (Int, Int, Int) {
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }
}
