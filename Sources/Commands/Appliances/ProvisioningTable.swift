/// A table with the settings of many machines: a line for each, as RFC 4180 writes them.
///
/// The first line names fields of the settings; a column `name` names the machines. A cell that is empty and not quoted sets
/// nothing.
struct ProvisioningTable {
    struct Row: Equatable {
        /// Counted from one, with the first.
        var line: Int
        var name: String
        var fields: [(path: String, value: String)]

        static func == (one: Row, other: Row) -> Bool {
            one.line == other.line && one.name == other.name
                && one.fields.elementsEqual(other.fields) { $0.path == $1.path && $0.value == $1.value }
        }
    }

    static let mostRows = 1000
    private(set) var rows: [Row] = []

    /// - Parameters:
    ///   - bytes: nil for machines that all have the defaults.
    ///   - count: how many machines there are to be; nil for as many as lines.
    ///   - base: what machines without a name are called, with their number.
    init(_ bytes: [UInt8]?, count: Int?, base: String) throws(CommandFailure) {
        if let count, !(1...Self.mostRows).contains(count) {
            throw CommandFailure(
                "usage.count", "\(count) machines cannot be made at once; 1 to \(Self.mostRows) can (--count)")
        }
        guard let bytes else {
            rows = (1...(count ?? 1)).map { Row(line: $0, name: "\(base)-\($0)", fields: []) }
            return
        }
        let lines = try Self.cells(bytes)
        guard let header = lines.first else {
            throw Self.wrong(1, "the table is empty; its first line names the fields")
        }
        let names = header.cells.map { $0 ?? "" }
        guard !names.contains(""), Set(names).count == names.count else {
            throw Self.wrong(1, "each column must have a name of its own")
        }
        guard (1...Self.mostRows).contains(lines.count - 1) else {
            throw Self.wrong(2, "the table has \(lines.count - 1) machines; 1 to \(Self.mostRows) can be made at once")
        }
        var taken: Set<String> = []
        for (index, line) in lines.dropFirst().enumerated() {
            guard line.cells.count == names.count else {
                throw Self.wrong(
                    line.number, "there are \(line.cells.count) cells, and the first line has \(names.count)")
            }
            var row = Row(line: line.number, name: "\(base)-\(index + 1)", fields: [])
            for (name, cell) in zip(names, line.cells) {
                guard let cell else { continue }
                if name == "name" { row.name = cell } else { row.fields.append((name, cell)) }
            }
            guard taken.insert(row.name).inserted else {
                throw Self.wrong(line.number, "\(row.name) is the name of an earlier line")
            }
            rows.append(row)
        }
        if let count, count != rows.count {
            throw CommandFailure(
                "usage.count",
                "the table has \(rows.count) machines, and --count says \(count); leave it out, or mend one of them")
        }
    }

    private static func wrong(_ line: Int, _ why: String) -> CommandFailure {
        CommandFailure("usage.table", "line \(line) of the table: \(why)")
    }

    /// Nil for a cell that is empty. Source: RFC 4180 §2; lines may end with LF alone.
    private static func cells(
        _ bytes: [UInt8]
    ) throws(CommandFailure) -> [(number: Int, cells: [String?])] {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw wrong(1, "it is not UTF-8") }
        var lines: [(number: Int, cells: [String?])] = []
        var cells: [String?] = []
        var cell = ""
        var isQuoted = false
        var wasQuoted = false
        var line = 1
        var start = 1
        func finished() -> String? { cell.isEmpty && !wasQuoted ? nil : cell }
        var rest = text.unicodeScalars.drop { $0 == "\u{feff}" }
        while let scalar = rest.popFirst() {
            if scalar == "\n" { line += 1 }
            switch scalar {
            case "\"" where isQuoted:
                if rest.first == "\"" {
                    rest.removeFirst()
                    cell += "\""
                } else {
                    isQuoted = false
                }
            case _ where isQuoted: cell.unicodeScalars.append(scalar)
            case "\"" where cell.isEmpty && !wasQuoted: (isQuoted, wasQuoted) = (true, true)
            case ",":
                cells.append(finished())
                (cell, wasQuoted) = ("", false)
            case "\r" where rest.first == "\n": break
            case "\n":
                cells.append(finished())
                if cells.count > 1 || cells[0] != nil { lines.append((start, cells)) }
                (cells, cell, wasQuoted, start) = ([], "", false, line)
            case _ where wasQuoted || scalar == "\"": throw wrong(line, "a quote stands where none may")
            default: cell.unicodeScalars.append(scalar)
            }
        }
        guard !isQuoted else { throw wrong(start, "a quoted cell has no end") }
        cells.append(finished())
        if cells.count > 1 || cells[0] != nil { lines.append((start, cells)) }
        return lines
    }
}
