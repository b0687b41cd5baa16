extension JSONValue {
    /// Appends the value as JSON without white space.
    public func write(to bytes: inout [UInt8]) {
        switch self {
        case .null: bytes.add("null")
        case .boolean(let value): bytes.add(value ? "true" : "false")
        case .integer(let value): bytes.add(String(value))
        case .number(let text): bytes.add(text)
        case .string(let text): Self.write(text, to: &bytes)
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                element.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                Self.write(member.name, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                member.value.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    /// Appends a text in quotes, escaped where it must be.
    public static func write(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): bytes.add("\\\"")
            case UInt8(ascii: "\\"): bytes.add("\\\\")
            case 0x08: bytes.add("\\b")
            case 0x0c: bytes.add("\\f")
            case 0x0a: bytes.add("\\n")
            case 0x0d: bytes.add("\\r")
            case 0x09: bytes.add("\\t")
            case 0..<0x20:
                bytes.add("\\u00")
                for digit in [byte >> 4, byte & 15] { bytes.append(digit < 10 ? 0x30 + digit : 0x57 + digit) }
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// How long it is as JSON without white space.
    public var writtenBytes: Int {
        var bytes: [UInt8] = []
        write(to: &bytes)
        return bytes.count
    }
}

extension [UInt8] {
    /// Appends a text as UTF-8.
    @inline(never)
    public mutating func add(_ text: String) { for byte in text.utf8 { append(byte) } }
}
