import Glibc

/// A process, told from a later one that got the same number by the time of its start.
package struct ProcessIdentity: Equatable, Sendable {
    package let identifier: Int32
    /// In clock ticks since the machine started. Source: proc(5), `/proc/PID/stat`, field 22.
    package let startTicks: UInt64

    package init(identifier: Int32, startTicks: UInt64) {
        self.identifier = identifier
        self.startTicks = startTicks
    }

    /// The process that has this number now; nil when there is none, or only what is left of one until it is waited for.
    package init?(running identifier: Int32) {
        guard identifier > 0, let text = TextFile.read("/proc/\(identifier)/stat"),
            let fields = Self.fieldsAfterName(text), fields.count > 19, fields[0] != "Z", fields[0] != "X",
            let ticks = UInt64(fields[19])
        else { return nil }
        self.init(identifier: identifier, startTicks: ticks)
    }

    /// Whether it still runs.
    package var isRunning: Bool { ProcessIdentity(running: identifier) == self }

    package func send(signal number: Int32) { if isRunning { _ = kill(identifier, number) } }

    /// The name may hold anything, spaces and brackets too; the fields start behind its last bracket.
    static func fieldsAfterName(_ text: String) -> [Substring]? {
        guard let end = text.lastIndex(of: ")") else { return nil }
        return text[text.index(after: end)...].split(whereSeparator: { $0 == " " || $0 == "\n" })
    }
}
