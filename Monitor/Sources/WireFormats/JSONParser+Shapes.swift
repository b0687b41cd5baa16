extension JSONParser {
    /// Reads a document that must have a shape. Fields that are null count as absent and are left out of the result;
    /// nothing is filled in (see `completed`).
    ///
    /// Trust: none in the bytes. Messages are worded and placed as serde's are, which clients of Firecracker know.
    public static func parse(_ bytes: [UInt8], as shape: JSONShape) throws(JSONShapeError) -> JSONValue {
        var parser = JSONParser(bytes)
        let value = try parser.shaped(.object(shape), depth: 0)
        parser.skipWhiteSpace()
        if parser.position < bytes.count { throw parser.fault("trailing characters", ahead: 1) }
        return value
    }

    /// Reads any document; what is wrong is worded in the same way.
    public static func parseFree(_ bytes: [UInt8]) throws(JSONShapeError) -> JSONValue {
        do throws(JSONError) { return try parse(bytes) } catch { throw JSONShapeError(error) }
    }

    /// A shaped value that stands in a document already read.
    ///
    /// - Throws: messages without line and column.
    public static func check(_ value: JSONValue, as shape: JSONShape) throws(JSONShapeError) -> JSONValue {
        var bytes: [UInt8] = []
        value.write(to: &bytes)
        return try parse(bytes, as: shape)
    }

    @inline(never)
    private func fault(_ text: String, ahead: Int = 0) -> JSONShapeError {
        let place = error(.unexpectedCharacter)
        return JSONShapeError("\(text) at line \(place.line) column \(place.column - 1 + ahead)")
    }

    @inline(never)
    private mutating func plain(depth: Int) throws(JSONShapeError) -> JSONValue {
        do throws(JSONError) { return try value(depth: depth) } catch { throw JSONShapeError(error) }
    }

    @inline(never)
    private mutating func plainText() throws(JSONShapeError) -> String {
        do throws(JSONError) { return try text() } catch { throw JSONShapeError(error) }
    }

    private mutating func shaped(_ kind: JSONKind, depth: Int) throws(JSONShapeError) -> JSONValue {
        skipWhiteSpace()
        switch kind {
        case .free: return try plain(depth: depth)
        case .object(let shape):
            if next == UInt8(ascii: "{") { return try shapedObject(shape, depth: depth) }
            return try wrong(depth: depth, expected: "struct \(shape.name)")
        case .list(let element):
            if next == UInt8(ascii: "[") { return try shapedList(element, depth: depth) }
            return try wrong(depth: depth, expected: "a sequence")
        case .choice(let names):
            guard next == UInt8(ascii: "\"") else {
                throw next == nil ? fault("EOF while parsing a value") : fault("expected value", ahead: 1)
            }
            let text = try plainText()
            for name in names where name == text { return .string(text) }
            throw fault("unknown variant `\(text)`, expected \(list(names))")
        default: return try scalar(kind, depth: depth)
        }
    }

    private mutating func scalar(_ kind: JSONKind, depth: Int) throws(JSONShapeError) -> JSONValue {
        let value = try plain(depth: depth)
        switch (kind, value) {
        case (.text, .string), (.boolean, .boolean): return value
        case (.checkedText(let message, let isGood), .string(let text)):
            guard isGood(text) else { throw fault(message) }
            return value
        case (.integer(let maximum, let name), .integer(let integer)):
            guard integer >= 0, integer <= maximum else {
                throw fault("invalid value: integer `\(integer)`, expected \(name)")
            }
            return value
        case (.text, _), (.checkedText, _): throw fault("invalid type: \(value.typeName), expected a string")
        case (.boolean, _): throw fault("invalid type: \(value.typeName), expected a boolean")
        case (.integer(_, let name), _): throw fault("invalid type: \(value.typeName), expected \(name)")
        default: throw fault("invalid type: \(value.typeName)")
        }
    }

    private mutating func wrong(depth: Int, expected: String) throws(JSONShapeError) -> JSONValue {
        let value = try plain(depth: depth)
        throw fault("invalid type: \(value.typeName), expected \(expected)")
    }

    private mutating func shapedList(_ element: JSONKind, depth: Int) throws(JSONShapeError) -> JSONValue {
        if depth >= Self.maximumDepth { throw fault("recursion limit exceeded", ahead: 1) }
        position += 1
        var elements: [JSONValue] = []
        skipWhiteSpace()
        if accept(UInt8(ascii: "]")) { return .array(elements) }
        while true {
            elements.append(try shaped(element, depth: depth + 1))
            skipWhiteSpace()
            if accept(UInt8(ascii: "]")) { return .array(elements) }
            guard accept(UInt8(ascii: ",")) else {
                throw next == nil ? fault("EOF while parsing a list") : fault("expected `,` or `]`", ahead: 1)
            }
        }
    }

    private mutating func shapedObject(_ shape: JSONShape, depth: Int) throws(JSONShapeError) -> JSONValue {
        if depth >= Self.maximumDepth { throw fault("recursion limit exceeded", ahead: 1) }
        position += 1
        var members: [JSONMember] = []
        // One bit per field that has been met; no shape has more than 64.
        var seen: UInt64 = 0
        skipWhiteSpace()
        if !accept(UInt8(ascii: "}")) {
            while true {
                try member(of: shape, depth: depth, into: &members, seen: &seen)
                skipWhiteSpace()
                if accept(UInt8(ascii: "}")) { break }
                guard accept(UInt8(ascii: ",")) else {
                    throw next == nil ? fault("EOF while parsing an object") : fault("expected `,` or `}`", ahead: 1)
                }
            }
        }
        for field in shape.fields {
            guard case .refused = field.absence else { continue }
            if JSONValue.object(members)[field.name] == nil { throw fault("missing field `\(field.name)`") }
        }
        return .object(members)
    }

    private mutating func member(
        of shape: JSONShape, depth: Int, into members: inout [JSONMember], seen: inout UInt64
    ) throws(JSONShapeError) {
        skipWhiteSpace()
        guard next == UInt8(ascii: "\"") else {
            throw next == nil ? fault("EOF while parsing an object") : fault("key must be a string", ahead: 1)
        }
        let name = try plainText()
        let index = shape.fields.firstIndex { $0.name == name }
        if let index {
            if seen & 1 << UInt64(index) != 0 { throw fault("duplicate field `\(name)`") }
            seen |= 1 << UInt64(index)
        } else if !shape.isLenient {
            throw fault("unknown field `\(name)`, expected \(list(shape.fields.map { $0.name }))")
        }
        skipWhiteSpace()
        guard accept(UInt8(ascii: ":")) else {
            throw next == nil ? fault("EOF while parsing an object") : fault("expected `:`", ahead: 1)
        }
        skipWhiteSpace()
        guard let index else {
            _ = try plain(depth: depth + 1)
            return
        }
        let field = shape.fields[index]
        if next == UInt8(ascii: "n") {
            let value = try plain(depth: depth + 1)
            if case .refused = field.absence { throw fault("invalid type: \(value.typeName)") }
            return
        }
        members.append(JSONMember(name, try shaped(field.kind, depth: depth + 1)))
    }

    private func list(_ names: [String]) -> String {
        if names.count == 1 { return "`\(names[0])`" }
        if names.count == 2 { return "`\(names[0])` or `\(names[1])`" }
        var text = "one of "
        for (index, name) in names.enumerated() { text += index == 0 ? "`\(name)`" : ", `\(name)`" }
        return text
    }
}

extension JSONShapeError {
    fileprivate init(_ error: JSONError) {
        var column = error.column
        let text: String
        switch error.reason {
        case .unexpectedCharacter: text = "expected value"
        case .unexpectedEnd:
            text = "EOF while parsing a value"
            column -= 1
        case .invalidText: text = "invalid escape, control character or UTF-8 in a string"
        case .nestedTooDeeply: text = "recursion limit exceeded"
        case .repeatedName(let name): text = "duplicate field `\(name)`"
        case .tooManyMembers: text = "an object has more than \(JSONParser.maximumMembers) members"
        case .trailingCharacters: text = "trailing characters"
        case .tooLong(let maximumBytes): text = "longer than \(maximumBytes) bytes"
        }
        description = "\(text) at line \(error.line) column \(column)"
    }
}

extension JSONValue {
    fileprivate var typeName: String {
        switch self {
        case .null: "null"
        case .boolean(let value): value ? "boolean `true`" : "boolean `false`"
        case .integer(let value): "integer `\(value)`"
        case .number(let text): "floating point `\(text)`"
        case .string(let text): "string \"\(text)\""
        case .array: "sequence"
        case .object: "map"
        }
    }
}
