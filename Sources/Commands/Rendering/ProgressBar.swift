import Glibc
import LinuxCalls
import Synchronization

/// Shows how far something has come, on standard error: one line that changes on a terminal, plain lines elsewhere.
///
/// Nothing is shown for what takes less than a second.
final class ProgressBar {
    private static let width = 24
    private static let firstAfterNanoseconds: UInt64 = 1_000_000_000
    private let isTerminal = isatty(2) == 1
    private let saysPhases: Bool
    private let begin = Clock.monotonic.nanoseconds()
    private var lines = ProgressLines()
    private var lastLine = ""
    private var isShown = false

    /// - Parameter saysPhases: whether anything is said where there is no terminal.
    init(saysPhases: Bool = true) { self.saysPhases = saysPhases }

    func show(_ phase: String, done: Double? = nil, detail: String = "") {
        let now = Clock.monotonic.nanoseconds()
        guard now - begin > Self.firstAfterNanoseconds else { return }
        if isTerminal {
            var line = phase
            if let done {
                let filled = Int((min(max(done, 0), 1) * Double(Self.width)).rounded())
                line +=
                    " [" + String(repeating: "#", count: filled) + String(repeating: "-", count: Self.width - filled)
                line += "] \(Int((min(max(done, 0), 1) * 100).rounded())) %"
            }
            if !detail.isEmpty { line += " " + Table.printable(detail) }
            guard line != lastLine else { return }
            try? writeAll(2, "\r\u{1b}[K" + line.prefix(max(20, Terminal.columns(2) - 1)))
            lastLine = line
            isShown = true
        } else if saysPhases, let line = lines.next(phase, detail: detail, nanoseconds: now) {
            try? writeAll(2, Table.printable(line) + "\n")
        }
    }

    /// Takes the line away.
    func finish() {
        if isShown { try? writeAll(2, "\r\u{1b}[K") }
        isShown = false
    }

    deinit { finish() }
}

/// What is said where lines cannot change: each phase as it begins, and every minute that it goes on and how far it is.
struct ProgressLines {
    private static let intervalNanoseconds: UInt64 = 60_000_000_000
    private var phase = ""
    private var beginNanoseconds: UInt64 = 0
    private var lastNanoseconds: UInt64 = 0

    /// Nil when there is nothing to say now.
    mutating func next(_ phase: String, detail: String, nanoseconds now: UInt64) -> String? {
        guard phase == self.phase else {
            (self.phase, beginNanoseconds, lastNanoseconds) = (phase, now, now)
            return phase
        }
        guard now - lastNanoseconds >= Self.intervalNanoseconds else { return nil }
        lastNanoseconds = now
        let minutes = (now - beginNanoseconds) / Self.intervalNanoseconds
        return "\(phase): \(minutes) min" + (detail.isEmpty ? "" : ", \(detail)")
    }
}

/// A bar that several threads may show something on.
final class SharedProgressBar: Sendable {
    private let bar = Mutex(ProgressBar())

    func show(_ phase: String, done: Double? = nil, detail: String = "") {
        bar.withLock { $0.show(phase, done: done, detail: detail) }
    }

    func finish() { bar.withLock { $0.finish() } }
}
