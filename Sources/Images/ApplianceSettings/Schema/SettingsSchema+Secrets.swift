extension SettingsSchema {
    /// What stands for a secret wherever settings are shown, and for "as it is" wherever they are given.
    public static let hiddenSecret = "<secret>"

    public func hidingSecrets(_ value: SettingsValue) -> SettingsValue {
        FieldKind.group(fields).mappingSecrets(value, at: FieldPath()) { _, _ in .text(Self.hiddenSecret) } ?? value
    }

    /// Puts the secrets of `previous` where `value` says that they stay as they are.
    /// - Throws: `refused` where there is none to stay.
    public func restoringSecrets(_ value: SettingsValue, from previous: SettingsValue) throws(SettingsError)
        -> SettingsValue
    {
        var problems: [FieldProblem] = []
        let restored = FieldKind.group(fields).mappingSecrets(value, at: FieldPath()) { path, secret in
            guard secret == .text(Self.hiddenSecret) else { return secret }
            if let kept = previous[path] { return kept }
            problems.append(FieldProblem(path, "there is no secret yet that could stay; give one"))
            return nil
        }
        guard problems.isEmpty else { throw SettingsError(refusing: "the settings of \(name) are", problems) }
        return restored ?? value
    }
}

extension FieldKind {
    /// Nil takes a secret away. What does not fit the kind is left as it is, for the check to say so.
    fileprivate func mappingSecrets(
        _ value: SettingsValue, at path: FieldPath, _ body: (FieldPath, SettingsValue) -> SettingsValue?
    ) -> SettingsValue? {
        switch (self, value) {
        case (.secret, _): return body(path, value)
        case (.group(let fields), .group(var members)):
            for field in fields {
                guard let member = members[field.name] else { continue }
                members[field.name] = field.kind.mappingSecrets(member, at: path.appending(field.name), body)
            }
            return .group(members)
        case (.list(let rule), .list(let elements)):
            return .list(
                elements.enumerated().compactMap { index, element in
                    rule.element.mappingSecrets(element, at: path.appending(index), body)
                })
        default: return value
        }
    }
}
