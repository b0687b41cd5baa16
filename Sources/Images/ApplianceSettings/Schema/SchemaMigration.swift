import JSONFields
import WireFormats

/// How settings of one version become those of the next, and back.
public struct SchemaMigration: Equatable, Sendable {
    /// The older version; the newer is one more.
    public let from: UInt32
    public let up: [Step]
    public let down: [Step]

    /// One change. In a path `*` is every element of a list.
    public enum Step: Equatable, Sendable {
        /// Takes a field to another place in the same group.
        case rename([String], to: String)
        case remove([String])
        /// Sets a field that is not set.
        case set([String], SettingsValue)
        /// Puts other texts in the place of some.
        case map([String], [String: String])
    }

    init(_ reader: consuming FieldReader) throws(FieldFault) {
        var reader = reader
        from = UInt32(truncatingIfNeeded: try reader.integer("from", in: 1...Int64(UInt32.max - 1)))
        up = try Self.steps("up", &reader)
        down = try Self.steps("down", &reader)
        try reader.finish()
    }

    private static func steps(_ name: String, _ reader: inout FieldReader) throws(FieldFault) -> [Step] {
        guard reader.value(name) != nil else { throw reader.fault(name, "is missing; an empty list changes nothing") }
        let list = try reader.objects(name)
        guard list.count <= 256 else { throw reader.fault(name, "has more than 256 steps") }
        var steps: [Step] = []
        for var step in list {
            steps.append(try Self.step(&step))
            try step.finish()
        }
        return steps
    }

    private static func step(_ reader: inout FieldReader) throws(FieldFault) -> Step {
        if let path = try path("rename", &reader) {
            let to = try reader.text("to")
            guard FieldPath(to)?.parts.count == 1 else { throw reader.fault("to", "must be a field's name") }
            return .rename(path, to: to)
        }
        if let path = try path("remove", &reader) { return .remove(path) }
        if let path = try path("set", &reader) {
            guard let value = reader.value("value").flatMap(SettingsValue.init) else {
                throw reader.fault("value", "must be a value for the field")
            }
            return .set(path, value)
        }
        if let path = try path("map", &reader) {
            guard case .object(let members) = reader.value("values") else {
                throw reader.fault("values", "must be an object of texts")
            }
            var values: [String: String] = [:]
            for member in members {
                guard case .string(let text) = member.value else {
                    throw reader.fault("values", "must be an object of texts")
                }
                values[member.name] = text
            }
            return .map(path, values)
        }
        throw FieldFault(reader.path, "must have one of rename, remove, set, map")
    }

    private static func path(_ name: String, _ reader: inout FieldReader) throws(FieldFault) -> [String]? {
        guard let text = try reader.optionalText(name) else { return nil }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        let isPath =
            (1...8).contains(parts.count) && parts.last != "*"
            && parts.allSatisfy { $0 == "*" || FieldPath($0)?.parts.count == 1 }
        guard isPath else { throw reader.fault(name, "\(shown(text)) is no field's path") }
        return parts
    }
}

extension SchemaMigration.Step {
    func apply(to value: SettingsValue) -> SettingsValue {
        switch self {
        case .rename(let path, let name):
            Self.change(value, path[...]) { members, last in
                if let member = members.removeValue(forKey: last) { members[name] = member }
            }
        case .remove(let path): Self.change(value, path[...]) { members, last in members[last] = nil }
        case .set(let path, let value_):
            Self.change(value, path[...], makesGroups: true) { members, last in
                if members[last] == nil { members[last] = value_ }
            }
        case .map(let path, let values):
            Self.change(value, path[...]) { members, last in
                if case .text(let text) = members[last], let other = values[text] { members[last] = .text(other) }
            }
        }
    }

    private static func change(
        _ value: SettingsValue, _ path: ArraySlice<String>, makesGroups: Bool = false,
        _ body: (inout [String: SettingsValue], String) -> Void
    ) -> SettingsValue {
        guard let part = path.first else { return value }
        switch value {
        case .group(var members):
            if path.count == 1 {
                body(&members, part)
            } else if let member = members[part] ?? (makesGroups && path.dropFirst().first != "*" ? .group([:]) : nil) {
                members[part] = change(member, path.dropFirst(), makesGroups: makesGroups, body)
            }
            return .group(members)
        case .list(let elements) where part == "*":
            return .list(elements.map { change($0, path.dropFirst(), makesGroups: makesGroups, body) })
        default: return value
        }
    }
}

extension SettingsSchema {
    /// Settings of this schema, made of those of another version of it: the newer of the two says how.
    ///
    /// - Throws: `cannotMigrate` where neither says it, `refused` when the result is not what this schema wants.
    public func migrated(_ value: SettingsValue, from other: SettingsSchema) throws(SettingsError) -> SettingsValue {
        guard name == other.name else {
            throw SettingsError(.cannotMigrate, "settings of \(other.name) cannot become settings of \(name)")
        }
        var value = value
        if version >= other.version {
            for migration in try migrations(from: other.version, to: version) {
                for step in migration.up { value = step.apply(to: value) }
            }
        } else {
            for migration in try other.migrations(from: version, to: other.version).reversed() {
                for step in migration.down { value = step.apply(to: value) }
            }
        }
        return try checked(value)
    }

    private func migrations(from lower: UInt32, to upper: UInt32) throws(SettingsError) -> [SchemaMigration] {
        let wanted = migrations.filter { $0.from >= lower && $0.from < upper }
        guard wanted.count == Int(upper - lower) else {
            throw SettingsError(
                .cannotMigrate,
                "version \(version) of the schema of \(name) does not say how settings get from version \(lower) to "
                    + "\(upper) and back")
        }
        return wanted
    }
}
