/// One component of a path: 1 to 255 bytes, no slash, no zero byte, neither `.` nor `..`. It need not be UTF-8.
public struct FileName: Hashable, Sendable {
    public let bytes: [UInt8]

    /// Nil for anything that is no name.
    public init?(_ bytes: some Collection<UInt8>) {
        guard (1...255).contains(bytes.count), !bytes.contains(0), !bytes.contains(UInt8(ascii: "/")),
            !bytes.elementsEqual(".".utf8), !bytes.elementsEqual("..".utf8)
        else { return nil }
        self.bytes = Array(bytes)
    }

    public init?(_ text: String) { self.init(Array(text.utf8)) }
}

extension FileName: Comparable {
    /// By the values of the bytes, as EROFS wants folders sorted.
    public static func < (left: FileName, right: FileName) -> Bool {
        left.bytes.lexicographicallyPrecedes(right.bytes)
    }
}

/// Bytes from an archive as text for a terminal: everything that is not printable is shown as `\xNN`.
func shown(_ path: [UInt8]) -> String {
    var text = ""
    for scalar in String(decoding: path.prefix(512), as: UTF8.self).unicodeScalars {
        switch scalar.properties.generalCategory {
        case .control, .format, .unassigned, .privateUse, .surrogate, .lineSeparator, .paragraphSeparator:
            text += "\\x" + String(scalar.value, radix: 16)
        default: text.unicodeScalars.append(scalar)
        }
    }
    return "\"" + (path.count > 512 ? text + "…" : text) + "\""
}
