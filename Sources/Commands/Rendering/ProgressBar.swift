import Glibc
import LinuxCalls
import Synchronization

/// Shows how far something has come, on standard error: one line that changes on a terminal, plain lines elsewhere.
///
/// Nothing is shown for what takes less than a second.
final class ProgressBar {
    private static let width = 24
    private static let firstAfterNanoseconds: UInt64 = 1_000_000_000
    /// Terminals that are far away take every line that they get.
    private static let intervalNanoseconds: UInt64 = 50_000_000
    private let isTerminal = isatty(2) == 1
    private let saysPhases: Bool
    private let begin = Clock.monotonic.nanoseconds()
    private var lines = ProgressLines()
    private var lastText = ""
    private var lastNanoseconds: UInt64 = 0
    private var isShown = false
    /// How many lines stand below the first.
    private var linesBelow = 0

    /// - Parameter saysPhases: whether anything is said where there is no terminal.
    init(saysPhases: Bool = true) { self.saysPhases = saysPhases }

    /// - Parameter parts: a line for each, below, on a terminal.
    func show(_ phase: String, done: Double? = nil, detail: String = "", parts: [String] = []) {
        let now = Clock.monotonic.nanoseconds()
        guard now - begin > Self.firstAfterNanoseconds else { return }
        if isTerminal {
            guard now - lastNanoseconds >= Self.intervalNanoseconds else { return }
            lastNanoseconds = now
            var line = phase
            if let done { line += " " + Self.bar(done, width: Self.width) }
            if !detail.isEmpty { line += " " + Table.printable(detail) }
            let columns = max(20, Terminal.columns(2) - 1)
            let text = ([line] + parts).map { String($0.prefix(columns)) }.joined(separator: "\n")
            guard text != lastText else { return }
            try? writeAll(2, clearing + text)
            lastText = text
            linesBelow = parts.count
            isShown = true
        } else if saysPhases, let line = lines.next(phase, detail: detail, nanoseconds: now) {
            try? writeAll(2, Table.printable(line) + "\n")
        }
    }

    /// `[######----] 60 %`
    static func bar(_ done: Double, width: Int) -> String {
        let done = min(max(done, 0), 1)
        let filled = Int((done * Double(width)).rounded())
        return "[" + String(repeating: "#", count: filled) + String(repeating: "-", count: width - filled)
            + "] \(Int((done * 100).rounded())) %"
    }

    /// Back to the first line, with nothing left of what was shown.
    private var clearing: String { linesBelow == 0 ? "\r\u{1b}[K" : "\r\u{1b}[\(linesBelow)A\u{1b}[J" }

    /// Takes the lines away.
    func finish() {
        if isShown { try? writeAll(2, clearing) }
        isShown = false
        linesBelow = 0
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

    func show(_ phase: String, done: Double? = nil, detail: String = "", parts: [String] = []) {
        bar.withLock { $0.show(phase, done: done, detail: detail, parts: parts) }
    }

    func finish() { bar.withLock { $0.finish() } }
}
