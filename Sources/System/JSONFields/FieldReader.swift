package import WireFormats

/// Reads the members of a JSON object, and knows which were read: what nobody asked for is an error.
///
/// Trust: none in the values. Each is checked for its type when it is read, and the error says where it stands.
package struct FieldReader {
    /// Names and numbers from the top of the document on.
    package let path: [String]
    private let members: [JSONMember]
    private var read: Set<String> = []

    package init(_ json: JSONValue, at path: [String] = []) throws(FieldFault) {
        guard case .object(let members) = json else { throw FieldFault(path, "must be an object") }
        self.path = path
        self.members = members
    }

    package func fault(_ name: String, _ reason: String) -> FieldFault { FieldFault(path + [name], reason) }

    package mutating func value(_ name: String) -> JSONValue? {
        read.insert(name)
        return members.first { $0.name == name }?.value
    }

    /// - Throws: where there is a member that was not read.
    package func finish() throws(FieldFault) {
        for member in members where !read.contains(member.name) {
            throw fault("\"" + Self.printable(member.name) + "\"", "is not known here")
        }
    }

    package mutating func text(_ name: String) throws(FieldFault) -> String {
        guard let text = try optionalText(name) else { throw fault(name, "is missing") }
        return text
    }

    package mutating func optionalText(_ name: String) throws(FieldFault) -> String? {
        switch value(name) {
        case nil: return nil
        case .string(let text): return text
        case .some: throw fault(name, "must be a text")
        }
    }

    package mutating func texts(_ name: String) throws(FieldFault) -> [String] {
        var texts: [String] = []
        for value in try list(name) {
            guard case .string(let text) = value else { throw fault(name, "must be a list of texts") }
            texts.append(text)
        }
        return texts
    }

    /// False where it is missing.
    package mutating func boolean(_ name: String) throws(FieldFault) -> Bool {
        switch value(name) {
        case nil: return false
        case .boolean(let value): return value
        case .some: throw fault(name, "must be true or false")
        }
    }

    package mutating func integer(_ name: String, in range: ClosedRange<Int64>) throws(FieldFault) -> Int64 {
        guard let number = try optionalInteger(name) else { throw fault(name, "is missing") }
        guard range.contains(number) else {
            throw fault(name, "must be from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    package mutating func optionalInteger(_ name: String) throws(FieldFault) -> Int64? {
        switch value(name) {
        case nil: return nil
        case .integer(let value): return value
        case .some: throw fault(name, "must be a whole number")
        }
    }

    /// Empty where it is missing.
    package mutating func list(_ name: String) throws(FieldFault) -> [JSONValue] {
        switch value(name) {
        case nil: return []
        case .array(let elements): return elements
        case .some: throw fault(name, "must be a list")
        }
    }

    /// The object at a name.
    package mutating func object(_ name: String) throws(FieldFault) -> FieldReader {
        guard let json = value(name) else { throw fault(name, "is missing") }
        return try FieldReader(json, at: path + [name])
    }

    /// The objects in a list.
    package mutating func objects(_ name: String) throws(FieldFault) -> [FieldReader] {
        var readers: [FieldReader] = []
        for (index, json) in try list(name).enumerated() {
            readers.append(try FieldReader(json, at: path + [name, "\(index)"]))
        }
        return readers
    }

    private static func printable(_ text: String) -> String {
        String(text.prefix(60).unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? "?" : Character($0) })
    }
}

/// What is wrong with a document, and where.
package struct FieldFault: Error, CustomStringConvertible {
    package let path: [String]
    package let reason: String

    package init(_ path: [String], _ reason: String) {
        self.path = path
        self.reason = reason
    }

    package var description: String {
        path.isEmpty ? "the document \(reason)" : "\(path.joined(separator: ".")): \(reason)"
    }
}
