/// One field whose value differs between two settings.
public struct SettingsDifference: Equatable, Sendable {
    public let path: FieldPath
    /// Nil where it is not set. Secrets are hidden.
    public let before: SettingsValue?
    public let after: SettingsValue?

    /// The fields that differ, in the order of their paths.
    ///
    /// - Parameter schemas: that of each side.
    public static func between(
        _ before: SettingsValue, _ after: SettingsValue, schemas: (SettingsSchema, SettingsSchema)
    ) -> [SettingsDifference] {
        let left = leaves(before, schemas.0)
        let right = leaves(after, schemas.1)
        return Set(left.keys).union(right.keys).sorted { $0.parts.lexicographicallyPrecedes($1.parts, by: isBefore) }
            .compactMap { path in
                guard left[path]?.value != right[path]?.value else { return nil }
                return SettingsDifference(path: path, before: left[path]?.shown, after: right[path]?.shown)
            }
    }

    /// Numbers by their size, so that element 10 comes after 9.
    private static func isBefore(_ left: String, _ right: String) -> Bool {
        if let left = Int(left), let right = Int(right) { return left < right }
        return left < right
    }

    private struct Leaf {
        let value: SettingsValue
        let isSecret: Bool

        var shown: SettingsValue { isSecret ? .text(SettingsSchema.hiddenSecret) : value }
    }

    private static func leaves(_ value: SettingsValue, _ schema: SettingsSchema) -> [FieldPath: Leaf] {
        var leaves: [FieldPath: Leaf] = [:]
        func add(_ value: SettingsValue, _ kind: FieldKind?, at path: FieldPath) {
            switch (value, kind) {
            case (.group(let members), .group(let fields)?):
                for (name, member) in members {
                    add(member, fields.first { $0.name == name }?.kind, at: path.appending(name))
                }
            case (.list(let elements), .list(let rule)?) where !elements.isEmpty:
                for (index, element) in elements.enumerated() { add(element, rule.element, at: path.appending(index)) }
            default: leaves[path] = Leaf(value: value, isSecret: kind?.isSecret ?? false)
            }
        }
        add(value, .group(schema.fields), at: FieldPath())
        return leaves
    }
}
