import AgentClient
import FoundationEssentials
import LinuxCalls

/// The one place that writes for people and programs.
enum Output {
    static func line(_ text: String) { bytes(Array("\(text)\n".utf8), to: 1) }

    /// Nobody can be told that errors cannot be told.
    static func error(_ text: String) { try? writeAll(2, text + "\n") }

    /// A question, on standard error, whose answer goes on the same line.
    static func prompt(_ text: String) { try? writeAll(2, text) }

    /// A reader that has gone away ends the command without a word, as it would a filter; other losses are said.
    static func bytes(_ bytes: [UInt8], to descriptor: Int32) {
        do throws(LinuxError) { try writeWhole(bytes.span, to: descriptor) } catch {
            if error.isBrokenPipe { exitProcess(141) }
            let failure = CommandFailure(
                OutputLoss(stream: descriptor == 2 ? .standardError : .standardOutput, error: error))
            failure.report(asJSON: false)
            exitProcess(failure.status)
        }
    }

    /// A value for programs.
    static func json(_ value: some Encodable) { line(JSONText.encode(value)) }
}

enum JSONText {
    static func encode(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else { return "null" }
        return joiningEmpty(String(decoding: data, as: UTF8.self))
    }

    /// The encoder puts a blank line into an empty list or object. A text within JSON holds no line's end.
    private static func joiningEmpty(_ text: String) -> String {
        var lines: [Substring] = []
        var isJoining = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if isJoining, let opening = lines.popLast() {
                lines.append(opening + line.drop(while: { $0 == " " }))
                isJoining = false
            } else if line.isEmpty {
                isJoining = true
            } else {
                lines.append(line)
            }
        }
        return lines.joined(separator: "\n")
    }
}

/// Columns as wide as what stands in them, two spaces between, nothing after the last.
struct Table {
    private var rows: [[String]]

    init(_ titles: String...) { rows = [titles] }
    init(_ titles: [String]) { rows = [titles] }

    mutating func add(_ cells: String...) { add(cells) }
    mutating func add(_ cells: [String]) { rows.append(cells.map(Self.printable)) }

    var text: String {
        let widths = (0..<(rows.first?.count ?? 0)).map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line += cell
                if column < row.count - 1 { line += String(repeating: " ", count: widths[column] - cell.count + 2) }
            }
            return line
        }.joined(separator: "\n")
    }

    /// Control characters from a guest's or an image's texts must not reach a terminal.
    static func printable(_ text: String) -> String {
        String(text.unicodeScalars.map { $0.value < 0x20 || (0x7f...0x9f).contains($0.value) ? "?" : Character($0) })
    }
}
