/// What settings an appliance takes, as its image declares them. Format: Documentation/settings.md.
public struct SettingsSchema: Equatable, Sendable {
    /// The appliance's name; settings of one name never become those of another.
    public let name: String
    public let version: UInt32
    public let fields: [SchemaField]
    /// How settings change between this version and the one before, and between those before.
    public let migrations: [SchemaMigration]
    /// As it was written, for keeping.
    public let source: [UInt8]

    public static let maximumBytes = 256 << 10

    /// Whether they mean the same, in whatever order their fields are written: an appliance's description has them sorted.
    public static func == (left: SettingsSchema, right: SettingsSchema) -> Bool {
        left.name == right.name && left.version == right.version && left.fields.ordered == right.fields.ordered
            && left.migrations == right.migrations
    }
}

/// One field.
public struct SchemaField: Equatable, Sendable {
    public let name: String
    public let kind: FieldKind
    public let isRequired: Bool
    public let defaultValue: SettingsValue?
    /// For people.
    public let explanation: String
}

extension [SchemaField] {
    /// By their names, groups within them as well.
    fileprivate var ordered: [SchemaField] {
        sorted { $0.name < $1.name }.map { field in
            SchemaField(
                name: field.name, kind: field.kind.ordered, isRequired: field.isRequired,
                defaultValue: field.defaultValue, explanation: field.explanation)
        }
    }
}

extension FieldKind {
    fileprivate var ordered: FieldKind {
        switch self {
        case .group(let fields): .group(fields.ordered)
        case .list(let rule):
            .list(ListRule(element: rule.element.ordered, count: rule.count, uniqueness: rule.uniqueness))
        default: self
        }
    }
}

public enum AddressFamily: String, Sendable {
    case ipv4, ipv6
}

/// What a field takes.
public indirect enum FieldKind: Equatable, Sendable {
    case boolean
    case integer(ClosedRange<Int64>)
    case text(TextRule)
    case secret(TextRule)
    case choice([String])
    /// `10.0.0.1`
    case address(AddressFamily?)
    /// `10.0.0.0/8`
    case network(AddressFamily?)
    /// `10.0.0.1/8`
    case interfaceAddress(AddressFamily?)
    case hardwareAddress
    case port
    case hostName
    /// In milliseconds.
    case duration(ClosedRange<Int64>)
    case list(ListRule)
    case group([SchemaField])

    public var isSecret: Bool { if case .secret = self { true } else { false } }

    /// In a person's words, with its bounds.
    public var summary: String {
        switch self {
        case .boolean: "true or false"
        case .integer(let range):
            range.lowerBound == .min && range.upperBound == .max
                ? "a whole number" : "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .text(let rule): "a text" + rule.summary
        case .secret(let rule): "a secret" + rule.summary
        case .choice(let values): "one of " + values.joined(separator: ", ")
        case .address(let family): "an \(family.map(\.words) ?? "IP") address"
        case .network(let family): "an \(family.map(\.words) ?? "IP") network, as 10.0.0.0/24 is"
        case .interfaceAddress(let family): "an \(family.map(\.words) ?? "IP") address with a prefix, as 10.0.0.1/24 is"
        case .hardwareAddress: "a hardware address"
        case .port: "a port"
        case .hostName: "a host name"
        case .duration(let range):
            "a duration from \(Durations.text(milliseconds: range.lowerBound)) to "
                + Durations.text(milliseconds: range.upperBound)
        case .list(let rule):
            "a list of \(rule.count.lowerBound) to \(rule.count.upperBound), each \(rule.element.summary)"
        case .group: "a group of fields"
        }
    }
}

extension AddressFamily {
    var words: String { self == .ipv4 ? "IPv4" : "IPv6" }
}

/// What a text may be.
public struct TextRule: Equatable, Sendable {
    /// In characters as Unicode counts scalars.
    public let length: ClosedRange<Int>
    public let pattern: FieldPattern?

    static let maximumLength = 65536
    static let usualLength = 0...4096

    var summary: String {
        var words = length == Self.usualLength ? "" : " of \(length.lowerBound) to \(length.upperBound) characters"
        if let pattern { words += " that matches \(pattern)" }
        return words
    }
}

/// What a list may be.
public struct ListRule: Equatable, Sendable {
    public let element: FieldKind
    public let count: ClosedRange<Int>
    /// No two elements are the same; for groups it may be one field of theirs that differs.
    public let uniqueness: Uniqueness?

    public enum Uniqueness: Equatable, Sendable {
        case element
        case field(String)
    }

    static let maximumCount = 1024
}

extension SettingsSchema {
    /// Every field but the groups with its path, in their order; elements of lists are numbered 0.
    public var describedFields: [(path: String, field: SchemaField)] {
        var described: [(path: String, field: SchemaField)] = []
        func add(_ fields: [SchemaField], below path: FieldPath) {
            for field in fields {
                let path = path.appending(field.name)
                if case .group(let inner) = field.kind {
                    add(inner, below: path)
                    continue
                }
                described.append(("\(path)", field))
                if case .list(let rule) = field.kind, case .group(let inner) = rule.element {
                    add(inner, below: path.appending(0))
                }
            }
        }
        add(fields, below: FieldPath())
        return described
    }
}
