import FoundationEssentials

/// One block of base64 between lines that say what it is. Source: RFC 7468.
enum PEM {
    static let maximumBytes = 16 << 10

    /// Nil for what is no such text, or has more than one block.
    static func decode(_ text: String) -> (label: String, der: [UInt8])? {
        guard text.utf8.count <= maximumBytes else { return nil }
        let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmed }.filter { !$0.isEmpty }
        guard lines.count >= 3, let first = lines.first, let last = lines.last,
            first.hasPrefix("-----BEGIN "), first.hasSuffix("-----")
        else { return nil }
        let label = String(first.dropFirst(11).dropLast(5))
        guard last == "-----END \(label)-----", let der = base64(lines.dropFirst().dropLast().joined()) else {
            return nil
        }
        return (label, der)
    }

    static func encode(_ der: [UInt8], label: String) -> String {
        var text = Data(der).base64EncodedString()[...]
        var lines = ["-----BEGIN \(label)-----"]
        while !text.isEmpty {
            lines.append(String(text.prefix(64)))
            text = text.dropFirst(64)
        }
        return (lines + ["-----END \(label)-----", ""]).joined(separator: "\n")
    }

    /// Nil for anything that is not base64 with its padding.
    static func base64(_ text: String) -> [UInt8]? {
        guard let data = Data(base64Encoded: text) else { return nil }
        return Array(data)
    }
}

extension Substring {
    fileprivate var trimmed: String {
        var text = self
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return String(text.drop { $0 == " " || $0 == "\t" })
    }
}
