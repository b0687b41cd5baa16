/// A station's address of Ethernet, written `02:00:5e:10:00:01`.
public enum HardwareAddress {
    public static func text(_ bytes: [UInt8]) -> String {
        var text = ""
        for byte in bytes {
            if !text.isEmpty { text += ":" }
            text += (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
        return text
    }

    /// Nil unless it is six bytes of one station: no group's, and not zero.
    public static func bytes(_ text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count == 17 else { return nil }
        var bytes: [UInt8] = []
        for place in 0..<6 {
            guard let high = value(digits[place * 3]), let low = value(digits[place * 3 + 1]),
                place == 5 || digits[place * 3 + 2] == UInt8(ascii: ":")
            else { return nil }
            bytes.append(high << 4 | low)
        }
        guard bytes[0] & 1 == 0, bytes.contains(where: { $0 != 0 }) else { return nil }
        return bytes
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 0x30...0x39: digit - 0x30
        case 0x41...0x46: digit - 0x37
        case 0x61...0x66: digit - 0x57
        default: nil
        }
    }
}
