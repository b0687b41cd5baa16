import WireFormats

/// Takes the fields of one JSON object apart, so that each error names the field by its whole path.
///
/// Nothing is inlined: it runs once, and every section uses all of it.
struct ObjectReader {
    private let path: String
    private let members: [JSONMember]

    /// - Parameter path: how a person would name the object, such as `drives[1]`; empty for the whole document.
    init(_ value: JSONValue, path: String, known: [String]) throws(ConfigurationError) {
        guard case .object(let members) = value else {
            throw .invalid(
                field: path.isEmpty ? "the configuration" : path, found: value.described, wanted: "an object")
        }
        self.path = path
        self.members = members
        for member in members where !known.contains(member.name) {
            throw .unknown(field: field(member.name), known: known)
        }
    }

    func field(_ name: String) -> String { path.isEmpty ? name : path + "." + name }

    /// A null is as good as no field.
    @inline(never)
    func value(_ name: String) -> JSONValue? {
        for member in members where member.name == name { return member.value == .null ? nil : member.value }
        return nil
    }

    @inline(never)
    func text(_ name: String) throws(ConfigurationError) -> String? {
        guard let value = value(name) else { return nil }
        guard case .string(let text) = value else { throw invalid(name, wanted: "a text") }
        return text
    }

    @inline(never)
    func requiredText(_ name: String, wanted: String) throws(ConfigurationError) -> String {
        guard let text = try text(name) else { throw .missing(field: field(name), wanted: wanted) }
        guard !text.isEmpty else { throw invalid(name, wanted: wanted) }
        return text
    }

    @inline(never)
    func boolean(_ name: String) throws(ConfigurationError) -> Bool? {
        guard let value = value(name) else { return nil }
        guard case .boolean(let boolean) = value else { throw invalid(name, wanted: "true or false") }
        return boolean
    }

    @inline(never)
    func integer(_ name: String, _ range: ClosedRange<Int64>) throws(ConfigurationError) -> Int64? {
        guard let value = value(name) else { return nil }
        let wanted = "a whole number from \(range.lowerBound) to \(range.upperBound)"
        guard case .integer(let integer) = value, range.contains(integer) else { throw invalid(name, wanted: wanted) }
        return integer
    }

    @inline(never)
    func requiredInteger(_ name: String, _ range: ClosedRange<Int64>) throws(ConfigurationError) -> Int64 {
        guard let integer = try integer(name, range) else {
            throw .missing(
                field: field(name), wanted: "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return integer
    }

    @inline(never)
    func list(_ name: String) throws(ConfigurationError) -> [JSONValue] {
        guard let value = value(name) else { return [] }
        guard case .array(let elements) = value else { throw invalid(name, wanted: "a list") }
        return elements
    }

    /// A field of Firecracker's that has one meaning here: anything else is refused rather than ignored.
    @inline(never)
    func only(_ name: String, _ allowed: JSONValue, reason: String) throws(ConfigurationError) {
        guard let value = value(name), value != allowed else { return }
        throw invalid(name, wanted: "\(allowed.described), or nothing: \(reason)")
    }

    /// A field of Firecracker's that this monitor does not serve.
    func refuse(_ name: String, reason: String) throws(ConfigurationError) {
        if value(name) != nil { throw invalid(name, wanted: "no such field: \(reason)") }
    }

    @inline(never)
    func invalid(_ name: String, wanted: String) -> ConfigurationError {
        .invalid(field: field(name), found: value(name)?.described ?? "nothing", wanted: wanted)
    }
}

extension JSONValue {
    /// The value itself where it is short, else what kind it is.
    var described: String {
        switch self {
        case .null: "null"
        case .boolean(let value): value ? "true" : "false"
        case .integer(let value): String(value)
        case .number(let text): text
        case .string(let text): text.utf8.count <= 80 ? "\"\(text)\"" : "a text of \(text.utf8.count) bytes"
        case .array: "a list"
        case .object: "an object"
        }
    }
}
