extension IPAddress: CustomStringConvertible {
    /// Reads `10.0.2.15` or `fd00::1` (no zone, no embedded IPv4).
    public init?(_ text: String) {
        let bytes = [UInt8](text.utf8)
        if bytes.contains(0x3a) {
            guard let parsed = Self.parseV6(bytes) else { return nil }
            self.init(networkOrder: parsed)
        } else {
            guard let parsed = Self.parseV4(bytes) else { return nil }
            self.init(networkOrder: parsed)
        }
    }

    private static func parseV4(_ text: [UInt8]) -> [UInt8]? {
        let parts = text.split(separator: 0x2e, omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var address: [UInt8] = []
        for part in parts {
            // A leading zero would be octal to some readers.
            guard (1...3).contains(part.count), part.count == 1 || part.first != 0x30 else { return nil }
            var value = 0
            for digit in part {
                guard (0x30...0x39).contains(digit) else { return nil }
                value = value * 10 + Int(digit - 0x30)
            }
            guard let byte = UInt8(exactly: value) else { return nil }
            address.append(byte)
        }
        return address
    }

    private static func parseV6(_ text: [UInt8]) -> [UInt8]? {
        var groups: [UInt16] = []
        var gap: Int?
        var rest = text[...]
        if rest.starts(with: [0x3a, 0x3a]) {
            gap = 0
            rest = rest.dropFirst(2)
        }
        while !rest.isEmpty {
            let digits = rest.prefix { $0 != 0x3a }
            guard (1...4).contains(digits.count), groups.count < 8 else { return nil }
            var value: UInt16 = 0
            for digit in digits {
                switch digit {
                case 0x30...0x39: value = value << 4 | UInt16(digit - 0x30)
                case 0x61...0x66: value = value << 4 | UInt16(digit - 0x61 + 10)
                case 0x41...0x46: value = value << 4 | UInt16(digit - 0x41 + 10)
                default: return nil
                }
            }
            groups.append(value)
            rest = rest.dropFirst(digits.count)
            guard !rest.isEmpty else { break }
            rest = rest.dropFirst()
            if rest.first == 0x3a {
                guard gap == nil else { return nil }
                gap = groups.count
                rest = rest.dropFirst()
            } else if rest.isEmpty {
                return nil
            }
        }
        if let gap {
            guard groups.count < 8 else { return nil }
            groups.insert(contentsOf: [UInt16](repeating: 0, count: 8 - groups.count), at: gap)
        }
        guard groups.count == 8 else { return nil }
        return groups.flatMap { [UInt8(truncatingIfNeeded: $0 >> 8), UInt8(truncatingIfNeeded: $0)] }
    }

    /// As people write it. Source: RFC 5952 §4 for IPv6.
    public var description: String { text.description }

    /// `description` as bytes.
    public var text: ByteString {
        var text: ByteString = ""
        guard family == .v6 else {
            for byte in bytes { text += (text.isEmpty ? "" : ".") + ByteString(byte) }
            return text
        }
        let groups = (0..<8).map { UInt16(bytes[2 * $0]) << 8 | UInt16(bytes[2 * $0 + 1]) }
        var longest = 0..<0
        var index = 0
        while index < 8 {
            var end = index
            while end < 8, groups[end] == 0 { end += 1 }
            if end - index > max(longest.count, 1) { longest = index..<end }
            index = max(end, index + 1)
        }
        index = 0
        while index < 8 {
            if !longest.isEmpty, index == longest.lowerBound {
                text += "::"
                index = longest.upperBound
                continue
            }
            if index > 0, index != longest.upperBound || longest.isEmpty { text += ":" }
            text += ByteString(groups[index], radix: 16)
            index += 1
        }
        return text
    }
}
