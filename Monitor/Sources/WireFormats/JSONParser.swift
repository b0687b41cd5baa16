/// Reads JSON of bounded length and depth. Source: RFC 8259.
///
/// Trust: none in the bytes. Every failure is a `JSONError`; memory grows only with the text's length.
public struct JSONParser {
    public static let maximumBytes = 1 << 20
    public static let maximumDepth = 32
    /// Keeps the search for repeated names short.
    public static let maximumMembers = 512

    let bytes: [UInt8]
    var position = 0
    /// Whether this process has written it; objects may be of any length then.
    private var isOwn = false

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// What this process has written (`JSONValue.write`).
    public static func parseWritten(_ bytes: [UInt8]) -> JSONValue {
        var parser = JSONParser(bytes)
        parser.isOwn = true
        return (try? parser.value(depth: 0)) ?? .null
    }

    /// The document that `bytes` hold, white space around it allowed.
    public static func parse(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
        guard bytes.count <= maximumBytes else {
            throw JSONError(reason: .tooLong(maximumBytes: maximumBytes), line: 1, column: 1)
        }
        var parser = JSONParser(bytes)
        let value = try parser.value(depth: 0)
        parser.skipWhiteSpace()
        if parser.position < bytes.count { throw parser.error(.trailingCharacters) }
        return value
    }

    @inline(never)
    func error(_ reason: JSONError.Reason) -> JSONError {
        var line = 1
        var column = 1
        for byte in bytes[..<min(position, bytes.count)] {
            if byte == UInt8(ascii: "\n") {
                line += 1
                column = 1
            } else {
                column += 1
            }
        }
        return JSONError(reason: reason, line: line, column: column)
    }

    var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    @inline(never)
    mutating func skipWhiteSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
    }

    private func unexpected() -> JSONError { error(next == nil ? .unexpectedEnd : .unexpectedCharacter) }

    @inline(never)
    private mutating func expect(_ byte: UInt8) throws(JSONError) {
        guard next == byte else { throw unexpected() }
        position += 1
    }

    @inline(never)
    mutating func accept(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        position += 1
        return true
    }

    mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        skipWhiteSpace()
        guard let first = next else { throw error(.unexpectedEnd) }
        switch first {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try text())
        case UInt8(ascii: "t"): return try word("true", .boolean(true))
        case UInt8(ascii: "f"): return try word("false", .boolean(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw unexpected()
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        for byte in word.description.utf8 { try expect(byte) }
        return value
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
        if depth >= Self.maximumDepth { throw error(.nestedTooDeeply) }
        position += 1
        var members: [JSONMember] = []
        skipWhiteSpace()
        if accept(UInt8(ascii: "}")) { return .object(members) }
        while true {
            skipWhiteSpace()
            guard next == UInt8(ascii: "\"") else { throw unexpected() }
            let name = try text()
            if !isOwn {
                if members.contains(where: { $0.name == name }) { throw error(.repeatedName(name)) }
                if members.count == Self.maximumMembers { throw error(.tooManyMembers) }
            }
            skipWhiteSpace()
            try expect(UInt8(ascii: ":"))
            members.append(JSONMember(name, try value(depth: depth + 1)))
            skipWhiteSpace()
            if accept(UInt8(ascii: "}")) { return .object(members) }
            try expect(UInt8(ascii: ","))
        }
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
        if depth >= Self.maximumDepth { throw error(.nestedTooDeeply) }
        position += 1
        var elements: [JSONValue] = []
        skipWhiteSpace()
        if accept(UInt8(ascii: "]")) { return .array(elements) }
        while true {
            elements.append(try value(depth: depth + 1))
            skipWhiteSpace()
            if accept(UInt8(ascii: "]")) { return .array(elements) }
            try expect(UInt8(ascii: ","))
        }
    }

    private mutating func digits() throws(JSONError) {
        guard let first = next, isDigit(first) else { throw unexpected() }
        while let byte = next, isDigit(byte) { position += 1 }
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private mutating func number() throws(JSONError) -> JSONValue {
        let start = position
        _ = accept(UInt8(ascii: "-"))
        if accept(UInt8(ascii: "0")) {
            if let byte = next, isDigit(byte) { throw unexpected() }
        } else {
            try digits()
        }
        var isInteger = true
        if accept(UInt8(ascii: ".")) {
            isInteger = false
            try digits()
        }
        if accept(UInt8(ascii: "e")) || accept(UInt8(ascii: "E")) {
            isInteger = false
            _ = accept(UInt8(ascii: "+")) || accept(UInt8(ascii: "-"))
            try digits()
        }
        // Only ASCII stands here.
        let written = String(decoding: bytes[start..<position], as: UTF8.self)
        if isInteger, let integer = Int64(written) { return .integer(integer) }
        return .number(written)
    }

    mutating func text() throws(JSONError) -> String {
        position += 1
        var content: [UInt8] = []
        while let byte = next {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: content, as: UTF8.self) else { throw error(.invalidText) }
                return text
            case UInt8(ascii: "\\"): content += try escape()
            case 0..<0x20: throw error(.invalidText)
            default: content.append(byte)
            }
        }
        throw error(.unexpectedEnd)
    }

    private mutating func escape() throws(JSONError) -> [UInt8] {
        guard let byte = next else { throw error(.unexpectedEnd) }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0c]
        case UInt8(ascii: "n"): return [0x0a]
        case UInt8(ascii: "r"): return [0x0d]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"): return try unicodeEscape()
        default: throw error(.invalidText)
        }
    }

    private mutating func unicodeEscape() throws(JSONError) -> [UInt8] {
        var code = try fourHexadecimalDigits()
        if code >= 0xd800, code < 0xdc00 {
            // The first half of a pair: the second must follow.
            guard accept(UInt8(ascii: "\\")), accept(UInt8(ascii: "u")) else { throw error(.invalidText) }
            let low = try fourHexadecimalDigits()
            guard low >= 0xdc00, low < 0xe000 else { throw error(.invalidText) }
            code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw error(.invalidText) }
        return Array(String(Character(scalar)).utf8)
    }

    private mutating func fourHexadecimalDigits() throws(JSONError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next else { throw error(.unexpectedEnd) }
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw error(.invalidText)
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }
}
