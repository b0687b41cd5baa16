import FoundationEssentials

/// How long a server wants to be left alone. The header is foreign.
///
/// Source: RFC 9110 §10.2.3; §5.6.7, "IMF-fixdate".
enum RetryAfter {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Nil for what is neither seconds nor a date; a date that is past is zero.
    static func parse(_ header: String, now: Double = Date().timeIntervalSince1970) -> Duration? {
        let text = header.prefix(64).split(separator: " ").joined(separator: " ")
        if let seconds = UInt32(text) { return .seconds(Int64(seconds)) }
        guard let date = seconds(of: text) else { return nil }
        return .seconds(max(0, Double(date) - now))
    }

    /// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`.
    private static func seconds(of text: String) -> Int64? {
        let parts = text.split(whereSeparator: { " ,:".contains($0) })
        guard parts.count == 8, parts[7] == "GMT", let day = Int64(parts[1]), (1...31).contains(day),
            let month = months.firstIndex(of: String(parts[2])), let year = Int64(parts[3]),
            (1970...9999).contains(year), let hour = Int64(parts[4]), (0...23).contains(hour),
            let minute = Int64(parts[5]), (0...59).contains(minute), let second = Int64(parts[6]),
            (0...60).contains(second)
        else { return nil }
        // Days since 1970-03-01 of a year that begins in March.
        let monthFromMarch = (Int64(month) + 10) % 12
        let yearFromMarch = month < 2 ? year - 1 : year
        let leapDays = yearFromMarch / 4 - yearFromMarch / 100 + yearFromMarch / 400
        let days = 365 * yearFromMarch + leapDays + (153 * monthFromMarch + 2) / 5 + day - 1 - 719_468
        return ((days * 24 + hour) * 60 + minute) * 60 + second
    }
}
