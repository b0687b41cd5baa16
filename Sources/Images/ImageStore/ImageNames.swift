/// What an image may be called.
enum ImageNames {
    /// Letters, digits and `._-/:@+`, beginning with a letter or digit, at most 255; nothing that reads as a digest.
    static func check(_ name: String) throws(ImageError) {
        let bytes = Array(name.utf8)
        let isDigest = name.hasPrefix("sha256:")
        guard (1...255).contains(bytes.count), let first = bytes.first, isAlphanumeric(first),
            bytes.allSatisfy({ isAlphanumeric($0) || "._-/:@+".utf8.contains($0) }), !isDigest
        else {
            throw ImageError(
                .invalidName,
                "\"\(name.prefix(80))\" cannot be an image's name; a name begins with a letter or digit, goes on with "
                    + "letters, digits and ._-/:@+, has at most 255 of them, and does not begin with sha256:")
        }
    }

    /// The digits of a digest, or of its beginning, that somebody may mean; nil when it cannot be one.
    static func digestPrefix(_ reference: String) -> String? {
        let digits = reference.hasPrefix("sha256:") ? String(reference.dropFirst(7)) : reference
        guard (4...64).contains(digits.utf8.count),
            digits.utf8.allSatisfy({ "0123456789abcdef".utf8.contains($0) })
        else { return nil }
        return digits
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}
