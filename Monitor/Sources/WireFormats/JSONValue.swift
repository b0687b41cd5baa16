/// A JSON document, as parsed. Members keep their order; a name may stand only once.
public indirect enum JSONValue: Equatable, Sendable {
    case null
    case boolean(Bool)
    case integer(Int64)
    /// A number that is no 64-bit integer, as it was written.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([JSONMember])

    /// What kind of value it is, in a person's words.
    public var kind: StaticString {
        switch self {
        case .null: "null"
        case .boolean: "true or false"
        case .integer, .number: "a number"
        case .string: "a text"
        case .array: "a list"
        case .object: "an object"
        }
    }
}

/// One name and its value in an object.
public struct JSONMember: Equatable, Sendable {
    public let name: String
    public let value: JSONValue

    public init(_ name: String, _ value: JSONValue) {
        self.name = name
        self.value = value
    }
}

/// Why a text is not JSON, and where.
public struct JSONError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Reason: Equatable, Sendable {
        case unexpectedCharacter
        case unexpectedEnd
        case invalidText
        case nestedTooDeeply
        case repeatedName(String)
        case tooManyMembers
        case trailingCharacters
        case tooLong(maximumBytes: Int)
    }

    public let reason: Reason
    /// Both count from one.
    public let line: Int
    public let column: Int

    public init(reason: Reason, line: Int, column: Int) {
        self.reason = reason
        self.line = line
        self.column = column
    }

    public var description: String {
        let place = "line \(line), column \(column)"
        return switch reason {
        case .unexpectedCharacter: "unexpected character at \(place)"
        case .unexpectedEnd: "it ends in the middle, at \(place)"
        case .invalidText: "invalid text (escape, control character or UTF-8) at \(place)"
        case .nestedTooDeeply: "nested more than \(JSONParser.maximumDepth) deep at \(place)"
        case .repeatedName(let name): "\"\(name)\" stands twice in one object, at \(place)"
        case .tooManyMembers: "an object has more than \(JSONParser.maximumMembers) members, at \(place)"
        case .trailingCharacters: "something follows its end, at \(place)"
        case .tooLong(let maximumBytes): "longer than \(maximumBytes) bytes"
        }
    }
}
