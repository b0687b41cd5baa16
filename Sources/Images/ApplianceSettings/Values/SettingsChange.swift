/// One change of one field, as a person types it.
public struct SettingsChange: Equatable, Sendable {
    public let path: FieldPath
    /// Nil unsets the field, or takes the element away.
    public let text: String?

    public init(_ path: String, _ text: String?) throws(SettingsError) {
        guard let parsed = FieldPath(path) else {
            throw SettingsError(
                .refused,
                "\(shown(path)) is no field: names and numbers of elements are joined by points, as in dns.servers.0")
        }
        self.path = parsed
        self.text = text
    }
}

extension SettingsGeneration {
    /// These settings with changes, one after the other. The element after a list's last one is added to it.
    ///
    /// A list that nobody set yet is first set to what it is by default, when one of its elements is changed.
    public func applying(_ changes: [SettingsChange]) throws(SettingsError) -> SettingsValue {
        var value = settings
        for change in changes {
            let kind = try schema.kind(at: change.path)
            let new: SettingsValue?
            if let text = change.text { new = try kind.value(typed: text) } else { new = nil }
            try setDefaults(on: change.path, in: &value)
            guard value.set(change.path.parts[...], to: new) else {
                throw SettingsError(
                    refusing: "this is",
                    [
                        FieldProblem(
                            change.path,
                            "there is no such element; the next one of a list has the number of how many it has")
                    ]
                )
            }
        }
        return value
    }

    private func setDefaults(on path: FieldPath, in value: inout SettingsValue) throws(SettingsError) {
        for count in 1..<max(path.parts.count, 1) {
            let prefix = FieldPath(Array(path.parts[..<count]))
            guard case .list = try schema.kind(at: prefix), value[prefix] == nil,
                let standard = schema.completed(value)[prefix]
            else { continue }
            _ = value.set(prefix.parts[...], to: standard)
        }
    }
}

extension SettingsSchema {
    /// What becomes of nothing by setting fields as a person types them, one after the other.
    /// - Throws: `refused` also when what is required was not set.
    public func settings(setting fields: [(path: String, value: String)]) throws(SettingsError) -> SettingsValue {
        let nothing = SettingsGeneration(
            number: 1, schema: self, settings: .group([:]), writtenSeconds: 0, deadlineSeconds: nil)
        var changes: [SettingsChange] = []
        for field in fields { changes.append(try SettingsChange(field.path, field.value)) }
        return try checked(try nothing.applying(changes))
    }
}
