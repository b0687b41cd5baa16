/// Durations as settings write them: `500ms`, `90s`, `1h30m`, `2d`.
package enum Durations {
    private static let units: [(name: String, milliseconds: Int64)] = [
        ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
    ]

    /// In milliseconds; nil for any other text, and for more than a hundred years.
    package static func parse(_ text: String) -> Int64? {
        var rest = Substring(text)
        var total: Int64 = 0
        var lastUnit = -1
        while !rest.isEmpty {
            let digits = rest.prefix { ("0"..."9").contains($0) }
            rest = rest.dropFirst(digits.count)
            let name = rest.prefix { ("a"..."z").contains($0) }
            rest = rest.dropFirst(name.count)
            guard (1...13).contains(digits.count), let number = Int64(digits),
                let unit = units.firstIndex(where: { $0.name == name }), unit > lastUnit
            else { return nil }
            lastUnit = unit
            let (product, overflow) = number.multipliedReportingOverflow(by: units[unit].milliseconds)
            guard !overflow, product <= 3_155_760_000_000 else { return nil }
            total += product
        }
        return lastUnit >= 0 && total <= 3_155_760_000_000 ? total : nil
    }

    /// In the largest unit that leaves no rest.
    package static func text(milliseconds: Int64) -> String {
        for unit in units where milliseconds != 0 && milliseconds % unit.milliseconds == 0 {
            return "\(milliseconds / unit.milliseconds)\(unit.name)"
        }
        return "\(milliseconds / 1000)s"
    }

    /// In seconds, with a fraction if there must be one: as programs in a guest take them.
    static func seconds(milliseconds: Int64) -> String {
        let fraction = milliseconds % 1000
        guard fraction > 0 else { return "\(milliseconds / 1000)" }
        var digits = String("\(1000 + fraction)".dropFirst())
        while digits.hasSuffix("0") { digits.removeLast() }
        return "\(milliseconds / 1000).\(digits)"
    }

    static func parseSeconds(_ text: String) -> Int64? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let seconds = Int64(parts[0]), (0...3_155_760_000).contains(seconds) else {
            return nil
        }
        guard parts.count == 2 else { return seconds * 1000 }
        guard (1...3).contains(parts[1].count), let fraction = Int64(parts[1]), fraction >= 0 else { return nil }
        return seconds * 1000 + [100, 10, 1][parts[1].count - 1] * fraction
    }
}
