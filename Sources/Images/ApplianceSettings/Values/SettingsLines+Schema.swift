import SettingsFloppy

extension SettingsSchema {
    /// Checked settings as a floppy's lines, defaults included.
    /// - Throws: `refused` when they have more fields than a floppy's lines may.
    public func lines(_ value: SettingsValue) throws(SettingsError) -> [UInt8] {
        var fields: [SettingsLines.Field] = []
        FieldKind.group(self.fields).append(value, completed(value), at: FieldPath(), to: &fields)
        guard fields.count <= SettingsLines.maximumFields else {
            throw SettingsError(
                .refused, "the settings of \(name) have more than \(SettingsLines.maximumFields) values")
        }
        return SettingsLines.encode(fields)
    }

    /// What was set, of a floppy's lines.
    ///
    /// Trust: none in the bytes; a guest may have written them.
    public func settings(inLines bytes: [UInt8]) throws(SettingsError) -> SettingsValue {
        let fields: [SettingsLines.Field]
        do throws(SettingsLines.Malformed) { fields = try SettingsLines.decode(bytes) } catch {
            throw SettingsError(.damagedFloppy, "line \(error.line) of the settings is not of the form path=value")
        }
        let root = LineNode(fields.filter { !$0.isDefault })
        var problems: [FieldProblem] = []
        let value = FieldKind.group(self.fields).value(root, at: FieldPath(), &problems)
        guard problems.isEmpty else { throw SettingsError(refusing: "the settings on the floppy are", problems) }
        return try checked(value ?? .group([:]))
    }
}

/// Lines as a tree.
private struct LineNode {
    var value: String?
    var members: [String: LineNode] = [:]

    init(_ fields: [SettingsLines.Field] = []) {
        for field in fields {
            let parts = String(decoding: field.path, as: UTF8.self).split(separator: ".").map(String.init)
            insert(parts[...], String(decoding: field.value, as: UTF8.self))
        }
    }

    private mutating func insert(_ parts: ArraySlice<String>, _ text: String) {
        guard let part = parts.first else {
            value = text
            return
        }
        members[part, default: LineNode()].insert(parts.dropFirst(), text)
    }
}

extension FieldKind {
    /// - Parameter set: what somebody set; nil for a default.
    fileprivate func append(
        _ set: SettingsValue?, _ value: SettingsValue, at path: FieldPath, to fields: inout [SettingsLines.Field]
    ) {
        switch (self, value) {
        case (.group(let inner), .group(let members)):
            for field in inner {
                guard let member = members[field.name] else { continue }
                field.kind.append(set?[FieldPath([field.name])], member, at: path.appending(field.name), to: &fields)
            }
        case (.list(let rule), .list(let elements)):
            for (index, element) in elements.enumerated() {
                rule.element.append(set?[FieldPath(["\(index)"])], element, at: path.appending(index), to: &fields)
            }
            fields.append(line(path.appending("count"), "\(elements.count)", isSet: set != nil))
        default: fields.append(line(path, lineText(value), isSet: set != nil))
        }
    }

    private func line(_ path: FieldPath, _ text: String, isSet: Bool) -> SettingsLines.Field {
        SettingsLines.Field(
            path: Array(path.description.utf8), value: Array(text.utf8), isSecret: isSecret, isDefault: !isSet)
    }

    private func lineText(_ value: SettingsValue) -> String {
        switch (self, value) {
        case (_, .boolean(let value)): "\(value)"
        case (_, .integer(let value)): "\(value)"
        case (.duration, .text(let text)): Durations.seconds(milliseconds: Durations.parse(text) ?? 0)
        case (_, .text(let text)): text
        case (_, .list), (_, .group): ""
        }
    }

    fileprivate func value(_ node: LineNode, at path: FieldPath, _ problems: inout [FieldProblem]) -> SettingsValue? {
        switch self {
        case .group(let fields):
            var members: [String: SettingsValue] = [:]
            for (name, member) in node.members {
                guard let field = fields.first(where: { $0.name == name }) else {
                    problems.append(FieldProblem(path.appending(name), Self.unknown(name, fields)))
                    continue
                }
                members[name] = field.kind.value(member, at: path.appending(name), &problems)
            }
            return .group(members)
        case .list(let rule):
            // Without a count the list is not set: its elements' own defaults may be.
            guard let text = node.members["count"]?.value else { return nil }
            guard let count = Int(text), (0...ListRule.maximumCount).contains(count) else {
                problems.append(FieldProblem(path.appending("count"), "\(shown(text)) is no number of elements"))
                return nil
            }
            let empty: SettingsValue = .group([:])
            return .list(
                (0..<count).map { index in
                    rule.element.value(node.members["\(index)"] ?? LineNode(), at: path.appending(index), &problems)
                        ?? empty
                })
        default:
            guard let text = node.value else {
                problems.append(FieldProblem(path, "has no value"))
                return nil
            }
            return value(ofText: text) ?? .text(text)
        }
    }

    /// A scalar's value, as a line has it; nil when the text is none, which the check then says.
    private func value(ofText text: String) -> SettingsValue? {
        switch self {
        case .boolean: ["true": .boolean(true), "false": .boolean(false)][text]
        case .integer, .port: Int64(text).map { .integer($0) }
        case .duration: Durations.parseSeconds(text).map { .text(Durations.text(milliseconds: $0)) }
        default: .text(text)
        }
    }

    /// A value as a person types it: texts as they are, lists and groups as JSON.
    func value(typed text: String) throws(SettingsError) -> SettingsValue {
        switch self {
        case .list, .group: try SettingsDocument.value(Array(text.utf8))
        case .duration: .text(text)
        default: value(ofText: text) ?? .text(text)
        }
    }
}
