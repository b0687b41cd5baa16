/// Foreign text as it may be shown to a person.
enum Printable {
    /// What of `text` is printable, other runs as one space each; cut off at `limit` characters.
    static func text(_ text: some StringProtocol, limit: Int) -> String {
        var result = ""
        var count = 0
        var hasGap = false
        for scalar in text.unicodeScalars {
            guard isPrintable(scalar) else {
                hasGap = !result.isEmpty
                continue
            }
            if count >= limit { return result + "…" }
            if hasGap, scalar != " ", result.unicodeScalars.last != " " {
                result.unicodeScalars.append(" ")
                count += 1
            }
            hasGap = false
            result.unicodeScalars.append(scalar)
            count += 1
        }
        return result
    }

    /// Neither controls nor what reorders, hides or is not assigned.
    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return (0x20...0x7e).contains(scalar.value) }
        return switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }
}
