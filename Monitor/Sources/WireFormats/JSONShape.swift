/// What a JSON object may hold: its fields in the order in which it is written, with what each may be.
public struct JSONShape: Sendable {
    public let name: String
    public let fields: [JSONField]
    /// Fields that nobody knows are skipped instead of refused.
    public let isLenient: Bool

    public init(_ name: String, isLenient: Bool = false, _ fields: [JSONField]) {
        self.name = name
        self.fields = fields
        self.isLenient = isLenient
    }
}

/// One field of an object.
public struct JSONField: Sendable {
    /// What it means that the field is not there, or null.
    public enum Absence: Sendable {
        /// It must be there.
        case refused
        /// Written as null.
        case null
        /// Not written.
        case omitted
        /// As if this stood there.
        case standsFor(JSONValue)
    }

    public let name: String
    public let kind: JSONKind
    public let absence: Absence

    public init(_ name: String, _ kind: JSONKind, _ absence: Absence = .null) {
        self.name = name
        self.kind = kind
        self.absence = absence
    }
}

/// What a value may be.
public indirect enum JSONKind: Sendable {
    case text
    /// A text that the function accepts; the message says what is wrong with others.
    case checkedText(String, @Sendable (String) -> Bool)
    case boolean
    /// From zero to the largest; the name is that of the type, for messages.
    case integer(maximum: Int64, name: String)
    case choice([String])
    case object(JSONShape)
    case list(JSONKind)
    /// Any JSON.
    case free
}

extension JSONKind {
    public static var byte: JSONKind { .integer(maximum: 255, name: "u8") }
    public static var word16: JSONKind { .integer(maximum: 65_535, name: "u16") }
    public static var word32: JSONKind { .integer(maximum: 4_294_967_295, name: "u32") }
    public static var word64: JSONKind { .integer(maximum: .max, name: "u64") }
    public static var size: JSONKind { .integer(maximum: .max, name: "usize") }
}

/// Why a text does not have its shape, worded as Firecracker words it, with line and column.
public struct JSONShapeError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

extension JSONValue {
    /// The member of that name; nil where there is none, where it is null, and in what is no object.
    public subscript(name: String) -> JSONValue? { member(name) }

    @inline(never)
    private func member(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        for member in members where member.name == name {
            return member.value == .null ? nil : member.value
        }
        return nil
    }

    public var text: String? { if case .string(let text) = self { text } else { nil } }
    public var integer: Int64? { if case .integer(let integer) = self { integer } else { nil } }
    public var boolean: Bool? { if case .boolean(let boolean) = self { boolean } else { nil } }

    // Never inlined, as what is called in many places is to be there once.

    /// The text of that name; nil where there is none.
    @inline(never) public func text(_ name: String) -> String? { member(name)?.text }
    /// The whole number of that name; nil where there is none.
    @inline(never) public func integer(_ name: String) -> Int64? { member(name)?.integer }
    /// Whether that name is true; nil where there is neither.
    @inline(never) public func boolean(_ name: String) -> Bool? { member(name)?.boolean }

    public var elements: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }
    public var members: [JSONMember]? { if case .object(let members) = self { members } else { nil } }

    /// The value with every field of the shape, in its order; absent ones as the shape says.
    @inline(never)
    public func completed(_ shape: JSONShape) -> JSONValue {
        var members: [JSONMember] = []
        for field in shape.fields {
            let value: JSONValue
            if let given = self[field.name] {
                if case .object(let inner) = field.kind { value = given.completed(inner) } else { value = given }
            } else {
                switch field.absence {
                case .refused, .null: value = .null
                case .omitted: continue
                case .standsFor(let standard): value = standard
                }
            }
            members.append(JSONMember(field.name, value))
        }
        return .object(members)
    }
}
