extension SettingsSchema {
    /// The settings in the form that is kept: texts as their kind writes them, nothing filled in.
    /// - Throws: `refused`, with every field that is wrong and the reason.
    public func checked(_ value: SettingsValue) throws(SettingsError) -> SettingsValue {
        var problems: [FieldProblem] = []
        let checked = FieldKind.group(fields).check(value, at: FieldPath(), &problems)
        guard problems.isEmpty, let checked else {
            throw SettingsError(refusing: "the settings of \(name) are", problems)
        }
        return checked
    }

    /// Checked settings with every default in its place.
    public func completed(_ value: SettingsValue) -> SettingsValue { FieldKind.group(fields).completed(value) }

    /// The kind of the field at a path; that of an element where the path ends in a number.
    public func kind(at path: FieldPath) throws(SettingsError) -> FieldKind {
        var kind = FieldKind.group(fields)
        var place = FieldPath()
        for part in path.parts {
            switch kind {
            case .group(let fields):
                guard let field = fields.first(where: { $0.name == part }) else {
                    throw SettingsError(
                        refusing: "this is", [FieldProblem(place.appending(part), FieldKind.unknown(part, fields))])
                }
                kind = field.kind
            case .list(let rule):
                guard Int(part).map({ (0..<ListRule.maximumCount).contains($0) }) == true else {
                    throw SettingsError(
                        refusing: "this is",
                        [FieldProblem(place.appending(part), "elements of a list are numbered, from 0")])
                }
                kind = rule.element
            default:
                throw SettingsError(
                    refusing: "this is",
                    [FieldProblem(place.appending(part), "\(place) is \(kind.summary); it has no fields")])
            }
            place = place.appending(part)
        }
        return kind
    }
}

extension FieldKind {
    /// Nil, with a problem added, when it does not fit.
    func check(_ value: SettingsValue, at path: FieldPath, _ problems: inout [FieldProblem]) -> SettingsValue? {
        switch (self, value) {
        case (.group(let fields), .group(let members)):
            return Self.check(members, fields, at: path, &problems)
        case (.list(let rule), .list(let elements)):
            return Self.check(elements, rule, at: path, &problems)
        default:
            do throws(Refusal) { return try checkedScalar(value) } catch {
                problems.append(FieldProblem(path, error.reason))
                return nil
            }
        }
    }

    private static func check(
        _ members: [String: SettingsValue], _ fields: [SchemaField], at path: FieldPath,
        _ problems: inout [FieldProblem]
    ) -> SettingsValue? {
        for name in members.keys.sorted() where !fields.contains(where: { $0.name == name }) {
            let place = FieldPath(name)?.parts.count == 1 ? name : shown(name)
            problems.append(FieldProblem(path.appending(place), unknown(name, fields)))
        }
        var checked: [String: SettingsValue] = [:]
        for field in fields {
            let place = path.appending(field.name)
            if let member = members[field.name] {
                checked[field.name] = field.kind.check(member, at: place, &problems)
            } else if field.isRequired {
                problems.append(FieldProblem(place, "is required: \(field.kind.summary)"))
            } else if case .group(let inner) = field.kind {
                // What is required in it is required of whoever does not mention it.
                _ = check([:], inner, at: place, &problems)
            }
        }
        return .group(checked)
    }

    static func unknown(_ name: String, _ fields: [SchemaField]) -> String {
        let names = fields.map(\.name)
        let near = names.filter { $0.hasPrefix(name.prefix(2)) || $0.hasSuffix(name.suffix(3)) }
        let offered = near.isEmpty ? names : near
        guard !offered.isEmpty else { return "there is no such field" }
        return
            "there is no such field; there is \(offered.prefix(8).joined(separator: ", "))\(offered.count > 8 ? ", …" : "")"
    }

    private static func check(
        _ elements: [SettingsValue], _ rule: ListRule, at path: FieldPath, _ problems: inout [FieldProblem]
    ) -> SettingsValue? {
        guard rule.count.contains(elements.count) else {
            problems.append(
                FieldProblem(
                    path,
                    "has \(elements.count) elements, and must have \(rule.count.lowerBound) to \(rule.count.upperBound)"
                ))
            return nil
        }
        var checked: [SettingsValue] = []
        for (index, element) in elements.enumerated() {
            if let element = rule.element.check(element, at: path.appending(index), &problems) {
                checked.append(element)
            }
        }
        guard checked.count == elements.count, let uniqueness = rule.uniqueness else { return .list(checked) }
        var keys: [String: Int] = [:]
        for (index, element) in checked.enumerated() {
            var place = path.appending(index)
            var key = rule.element.completed(element)
            if case .field(let name) = uniqueness {
                guard let value = key[FieldPath([name])] else { continue }
                key = value
                place = place.appending(name)
            }
            if let first = keys[key.text] {
                problems.append(FieldProblem(place, "is the same as in element \(first)"))
            } else {
                keys[key.text] = index
            }
        }
        return .list(checked)
    }

    private func checkedScalar(_ value: SettingsValue) throws(Refusal) -> SettingsValue {
        switch (self, value) {
        case (.boolean, .boolean): return value
        case (.integer(let range), .integer(let number)):
            guard range.contains(number) else { throw Refusal("\(number) is not \(summary)") }
            return value
        case (.port, .integer(let number)):
            guard (1...65535).contains(number) else { throw Refusal("\(number) is not a port from 1 to 65535") }
            return value
        case (.text(let rule), .text(let text)), (.secret(let rule), .text(let text)):
            try rule.check(text, isSecret: isSecret)
            return value
        case (.choice(let values), .text(let text)):
            guard values.contains(text) else { throw Refusal("\(shown(text)) is not \(summary)") }
            return value
        case (.address(let family), .text(let text)): return .text(try NetworkTexts.address(text, family))
        case (.network(let family), .text(let text)): return .text(try NetworkTexts.network(text, family))
        case (.interfaceAddress(let family), .text(let text)):
            return .text(try NetworkTexts.interfaceAddress(text, family))
        case (.hardwareAddress, .text(let text)): return .text(try NetworkTexts.hardwareAddress(text))
        case (.hostName, .text(let text)): return .text(try NetworkTexts.hostName(text))
        case (.duration(let range), .text(let text)):
            guard let milliseconds = Durations.parse(text) else {
                throw Refusal("\(shown(text)) is not a duration, as 500ms, 90s or 1h30m is")
            }
            guard range.contains(milliseconds) else { throw Refusal("\(text) is not \(summary)") }
            return .text(Durations.text(milliseconds: milliseconds))
        default: throw Refusal("is \(value.kind), and must be \(summary)")
        }
    }

    /// Checked settings, with the defaults of fields that are not set.
    func completed(_ value: SettingsValue) -> SettingsValue {
        switch (self, value) {
        case (.group(let fields), .group(var members)):
            for field in fields {
                if let member = members[field.name] {
                    members[field.name] = field.kind.completed(member)
                } else if let value = field.defaultValue {
                    members[field.name] = field.kind.completed(value)
                } else if case .group = field.kind {
                    let group = field.kind.completed(.group([:]))
                    if group != .group([:]) { members[field.name] = group }
                }
            }
            return .group(members)
        case (.list(let rule), .list(let elements)): return .list(elements.map(rule.element.completed))
        default: return value
        }
    }
}

extension TextRule {
    func check(_ text: String, isSecret: Bool) throws(Refusal) {
        let count = text.unicodeScalars.count
        guard length.contains(count) else {
            throw Refusal("has \(count) characters, and must have \(length.lowerBound) to \(length.upperBound)")
        }
        guard !text.unicodeScalars.contains("\0") else { throw Refusal("holds a zero character, which no text may") }
        if let pattern, !pattern.matches(text) {
            throw Refusal("\(isSecret ? "the secret" : shown(text)) does not match \(pattern)")
        }
    }
}
