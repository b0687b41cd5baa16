import Fleet

/// Sizes and times as people read and write them.
enum Units {
    private static let prefixes: [(letter: Character, factor: Double)] = [
        ("T", 0x1p40), ("G", 0x1p30), ("M", 0x1p20), ("K", 0x1p10),
    ]

    /// `1.5 GiB`, `640 KiB`, `12 B`.
    static func size(_ bytes: UInt64) -> String {
        for (letter, factor) in prefixes where Double(bytes) >= factor {
            let tenths = (Double(bytes) / factor * 10).rounded()
            return tenths.truncatingRemainder(dividingBy: 10) == 0 || tenths >= 1000
                ? "\(Int((tenths / 10).rounded())) \(letter)iB" : "\(tenths / 10) \(letter)iB"
        }
        return "\(bytes) B"
    }

    /// Reads `512`, `512M`, `512MiB`, `2G`, `1.5GB`: without a unit MiB are meant. Nil for what is no size.
    static func mebibytes(_ text: String) -> Int? {
        var digits = text[...]
        while let last = digits.last, last.isLetter { digits.removeLast() }
        guard let number = Double(digits), number.isFinite, number >= 0 else { return nil }
        let factor: Double
        switch text[digits.endIndex...].lowercased() {
        case "", "m", "mb", "mib": factor = 1
        case "g", "gb", "gib": factor = 1024
        case "t", "tb", "tib": factor = 1_048_576
        case "k", "kb", "kib": factor = 1 / 1024
        case "b": factor = 1 / 1_048_576
        default: return nil
        }
        let value = (number * factor).rounded(.up)
        return value <= 1e9 ? Int(value) : nil
    }

    /// Reads `10`, `1.5s`, `500ms`, `2m`, `1h`: without a unit seconds are meant. Nil for what is no time.
    static func seconds(_ text: String) -> Double? {
        var digits = text[...]
        while let last = digits.last, last.isLetter { digits.removeLast() }
        guard let number = Double(digits), number.isFinite, number >= 0 else { return nil }
        switch text[digits.endIndex...] {
        case "", "s": return number
        case "ms": return number / 1000
        case "m", "min": return number * 60
        case "h": return number * 3600
        case "d": return number * 86_400
        default: return nil
        }
    }

    /// A time that an option gives.
    static func time(_ text: String, _ option: String) throws(CommandFailure) -> Double {
        guard let seconds = seconds(text), seconds <= 1e9 else {
            throw CommandFailure("usage.time", "\"\(text)\" is no time; write it as 10s, 500ms or 1m (\(option))")
        }
        return seconds
    }

    /// A size that an option gives, in whole MiB.
    static func bytes(_ text: String, _ option: String) throws(CommandFailure) -> UInt64 {
        guard let mebibytes = mebibytes(text), mebibytes > 0 else {
            throw CommandFailure("usage.size", "\"\(text)\" is no size; write it as 512M or 2G (\(option))")
        }
        return UInt64(mebibytes) << 20
    }

    /// `3 seconds`, `2 minutes`, `5 hours`, `4 days`.
    static func age(seconds: Int64) -> String {
        let seconds = max(0, seconds)
        let (count, unit): (Int64, String) =
            switch seconds {
            case ..<120: (seconds, "second")
            case ..<7200: (seconds / 60, "minute")
            case ..<172_800: (seconds / 3600, "hour")
            default: (seconds / 86_400, "day")
            }
        return "\(count) \(unit)\(count == 1 ? "" : "s")"
    }

    static func since(_ seconds: Int64?) -> String {
        guard let seconds else { return "-" }
        // A damaged record may hold any number.
        let (age, isBeyond) = Now.seconds.subtractingReportingOverflow(seconds)
        return Self.age(seconds: isBeyond ? .max : age) + " ago"
    }
}
