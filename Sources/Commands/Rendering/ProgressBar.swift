import Glibc
import LinuxCalls

/// Shows how far something has come, on standard error: one line that changes on a terminal, plain lines elsewhere.
///
/// Nothing is shown for what takes less than a second.
final class ProgressBar {
    private static let width = 24
    private static let firstAfterNanoseconds: UInt64 = 1_000_000_000
    private let isTerminal = isatty(2) == 1
    private let begin = Clock.monotonic.nanoseconds()
    private var lastLine = ""
    private var isShown = false

    func show(_ phase: String, done: Double? = nil, detail: String = "") {
        guard Clock.monotonic.nanoseconds() - begin > Self.firstAfterNanoseconds else { return }
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
        } else if phase != lastLine {
            try? writeAll(2, phase + "\n")
            lastLine = phase
        }
    }

    /// Takes the line away.
    func finish() {
        if isShown { try? writeAll(2, "\r\u{1b}[K") }
        isShown = false
    }

    deinit { finish() }
}
