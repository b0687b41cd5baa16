import JSONFields
import WireFormats

/// A value of settings, checked or not.
public indirect enum SettingsValue: Equatable, Sendable {
    case boolean(Bool)
    case integer(Int64)
    case text(String)
    case list([SettingsValue])
    case group([String: SettingsValue])

    /// In a person's words.
    var kind: String {
        switch self {
        case .boolean: "true or false"
        case .integer: "a number"
        case .text: "a text"
        case .list: "a list"
        case .group: "a group of fields"
        }
    }

    /// Nil for `null` and for numbers that are not whole, anywhere in it; no field takes either.
    init?(_ json: JSONValue) {
        switch json {
        case .null, .number: return nil
        case .boolean(let value): self = .boolean(value)
        case .integer(let value): self = .integer(value)
        case .string(let value): self = .text(value)
        case .array(let elements):
            var values: [SettingsValue] = []
            for element in elements {
                guard let value = SettingsValue(element) else { return nil }
                values.append(value)
            }
            self = .list(values)
        case .object(let members):
            var values: [String: SettingsValue] = [:]
            for member in members {
                guard let value = SettingsValue(member.value) else { return nil }
                values[member.name] = value
            }
            self = .group(values)
        }
    }

    public subscript(path: FieldPath) -> SettingsValue? {
        var value = self
        for part in path.parts {
            guard let next = value.member(part) else { return nil }
            value = next
        }
        return value
    }

    private func member(_ part: String) -> SettingsValue? {
        switch self {
        case .group(let members): return members[part]
        case .list(let elements):
            guard let index = Int(part), elements.indices.contains(index) else { return nil }
            return elements[index]
        default: return nil
        }
    }

    /// Puts a value at a path, making the groups on the way; nil takes it away. An element's number may be that of one more
    /// than there are.
    /// - Returns: false where the path leads through something that is neither group nor list.
    mutating func set(_ path: ArraySlice<String>, to value: SettingsValue?) -> Bool {
        guard let part = path.first else {
            if let value { self = value }
            return value != nil
        }
        let rest = path.dropFirst()
        switch self {
        case .group(var members):
            if rest.isEmpty {
                members[part] = value
            } else {
                let isElement = rest.first.map { Int($0) != nil } ?? false
                var member = members[part] ?? (isElement ? .list([]) : .group([:]))
                guard member.set(rest, to: value) else { return false }
                members[part] = member
            }
            self = .group(members)
        case .list(var elements):
            guard let index = Int(part), index >= 0, index <= elements.count else { return false }
            if rest.isEmpty, value == nil {
                guard index < elements.count else { return false }
                elements.remove(at: index)
            } else {
                var element = index < elements.count ? elements[index] : .group([:])
                guard element.set(rest, to: value) else { return false }
                if index < elements.count { elements[index] = element } else { elements.append(element) }
            }
            self = .list(elements)
        default: return false
        }
        return true
    }
}

extension SettingsValue {
    /// JSON, indented, with sorted names: what `SettingsDocument` reads.
    public var text: String { text(indentation: 0) }

    private func text(indentation: Int) -> String {
        let inner = String(repeating: " ", count: (indentation + 1) * 2)
        let outer = String(repeating: " ", count: indentation * 2)
        func block(_ lines: [String], _ open: String, _ close: String) -> String {
            lines.isEmpty
                ? open + close : "\(open)\n\(inner)" + lines.joined(separator: ",\n\(inner)") + "\n\(outer)\(close)"
        }
        switch self {
        case .boolean(let value): return value ? "true" : "false"
        case .integer(let value): return "\(value)"
        case .text(let value): return quotedForJSON(value)
        case .list(let elements): return block(elements.map { $0.text(indentation: indentation + 1) }, "[", "]")
        case .group(let members):
            let lines = members.sorted { $0.key < $1.key }.map {
                "\(quotedForJSON($0.key)): \($0.value.text(indentation: indentation + 1))"
            }
            return block(lines, "{", "}")
        }
    }
}

extension SettingsValue: Encodable {
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .boolean(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .text(let value): try container.encode(value)
        case .list(let elements): try container.encode(elements)
        case .group(let members): try container.encode(members)
        }
    }
}

extension SettingsValue {
    /// As `settings set` takes it: a text as it is, lists and groups in one line of JSON.
    public var typedText: String {
        if case .text(let text) = self { return text }
        return line
    }

    private var line: String {
        switch self {
        case .boolean, .integer, .text: text
        case .list(let elements): "[" + elements.map(\.line).joined(separator: ", ") + "]"
        case .group(let members):
            "{"
                + members.sorted { $0.key < $1.key }.map { "\(quotedForJSON($0.key)): \($0.value.line)" }
                .joined(separator: ", ") + "}"
        }
    }
}
