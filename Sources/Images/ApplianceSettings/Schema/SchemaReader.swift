import WireFormats

extension SettingsSchema {
    /// Reads a schema.
    ///
    /// Trust: none in the bytes, which come with an image. Depth, names and sizes are bounded.
    /// - Throws: `invalidSchema`, with the field and the reason.
    public init(parsing bytes: [UInt8]) throws(SettingsError) {
        guard bytes.count <= Self.maximumBytes else {
            throw SettingsError(.invalidSchema, "the schema is longer than \(Self.maximumBytes) bytes")
        }
        let json: JSONValue
        do throws(JSONError) { json = try JSONParser.parse(bytes) } catch {
            throw SettingsError(.invalidSchema, "the schema is not JSON: \(error)")
        }
        do throws(SchemaFault) {
            var reader = try SchemaReader(json, at: FieldPath())
            let name = try reader.text("name")
            guard Self.isName(name) else { throw reader.fault("name", "letters, digits, - and ., at most 63") }
            let version = try reader.integer("version", in: 1...Int64(UInt32.max))
            fields = try reader.fields()
            migrations = try reader.list("migrations").enumerated().map {
                (index, value) throws(SchemaFault) in
                try SchemaMigration(try SchemaReader(value, at: FieldPath(["migrations", "\(index)"])))
            }
            try reader.finish()
            self.name = name
            self.version = UInt32(truncatingIfNeeded: version)
            source = bytes
            try checkMigrations()
            try checkSize()
        } catch {
            throw SettingsError(.invalidSchema, "the schema's \(error.path): \(error.reason)")
        }
    }

    static func isName(_ name: String) -> Bool {
        (1...63).contains(name.utf8.count) && name.first != "-" && name.first != "."
            && name.utf8.allSatisfy {
                (0x61...0x7a).contains($0) || (0x41...0x5a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d
                    || $0 == 0x2e
            }
    }

    private func checkMigrations() throws(SchemaFault) {
        for (index, migration) in migrations.enumerated() {
            let expected = version - UInt32(min(migrations.count - index, Int(version)))
            guard migration.from == expected, expected > 0 else {
                throw SchemaFault(
                    FieldPath(["migrations", "\(index)", "from"]),
                    "one for each version, without a gap, in their order, the last from \(version - 1)")
            }
        }
    }

    /// A schema all of whose lists are full must fit on a floppy's lines.
    private func checkSize() throws(SchemaFault) {
        var count = 0
        func add(_ fields: [SchemaField]) {
            for field in fields {
                count += 1
                switch field.kind {
                case .group(let fields): add(fields)
                case .list(let rule): if case .group(let fields) = rule.element { add(fields) }
                default: break
                }
            }
        }
        add(fields)
        guard count <= 512 else { throw SchemaFault(FieldPath(["fields"]), "a schema has at most 512 fields") }
    }
}

/// What is wrong with a schema, and where.
struct SchemaFault: Error {
    let path: FieldPath
    let reason: String

    init(_ path: FieldPath, _ reason: String) {
        self.path = path
        self.reason = reason
    }
}

/// Reads the members of one object, and knows which were read.
struct SchemaReader {
    let path: FieldPath
    private let members: [JSONMember]
    private var read: Set<String> = []

    init(_ json: JSONValue, at path: FieldPath) throws(SchemaFault) {
        guard case .object(let members) = json else { throw SchemaFault(path, "must be an object") }
        self.path = path
        self.members = members
    }

    func fault(_ name: String, _ reason: String) -> SchemaFault { SchemaFault(path.appending(name), reason) }

    mutating func value(_ name: String) -> JSONValue? {
        read.insert(name)
        return members.first { $0.name == name }?.value
    }

    func finish() throws(SchemaFault) {
        for member in members where !read.contains(member.name) {
            throw fault(shown(member.name), "is not known here")
        }
    }

    mutating func text(_ name: String) throws(SchemaFault) -> String {
        guard let text = try optionalText(name) else { throw fault(name, "is missing") }
        return text
    }

    mutating func optionalText(_ name: String) throws(SchemaFault) -> String? {
        switch value(name) {
        case nil: return nil
        case .string(let text): return text
        case .some: throw fault(name, "must be a text")
        }
    }

    mutating func boolean(_ name: String) throws(SchemaFault) -> Bool {
        switch value(name) {
        case nil: return false
        case .boolean(let value): return value
        case .some: throw fault(name, "must be true or false")
        }
    }

    mutating func integer(_ name: String, in range: ClosedRange<Int64>) throws(SchemaFault) -> Int64 {
        guard let number = try optionalInteger(name) else { throw fault(name, "is missing") }
        guard range.contains(number) else {
            throw fault(name, "must be from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    mutating func optionalInteger(_ name: String) throws(SchemaFault) -> Int64? {
        switch value(name) {
        case nil: return nil
        case .integer(let value): return value
        case .some: throw fault(name, "must be a whole number")
        }
    }

    mutating func list(_ name: String) throws(SchemaFault) -> [JSONValue] {
        switch value(name) {
        case nil: return []
        case .array(let elements): return elements
        case .some: throw fault(name, "must be a list")
        }
    }

    /// The lower and upper bound that `minimum` and `maximum` give, within `limits`.
    private mutating func range(_ limits: ClosedRange<Int64>, usual: ClosedRange<Int64>) throws(SchemaFault)
        -> ClosedRange<Int64>
    {
        let lower = try optionalInteger("minimum") ?? usual.lowerBound
        let upper = try optionalInteger("maximum") ?? max(usual.upperBound, lower)
        guard limits.contains(lower) else {
            throw fault("minimum", "must be from \(limits.lowerBound) to \(limits.upperBound)")
        }
        guard limits.contains(upper), upper >= lower else {
            throw fault("maximum", "must be from \(lower) to \(limits.upperBound)")
        }
        return lower...upper
    }

    mutating func fields() throws(SchemaFault) -> [SchemaField] {
        guard let json = value("fields"), case .object(let members) = json else {
            throw fault("fields", "must be an object of fields")
        }
        // `fields`, a name: at most four groups within one another, lists included.
        guard path.parts.count <= 10 else { throw fault("fields", "are nested too deeply") }
        var fields: [SchemaField] = []
        for member in members {
            let place = path.appending("fields").appending(member.name)
            guard FieldPath(member.name)?.parts.count == 1, member.name.utf8.count <= 32, Int(member.name) == nil else {
                throw SchemaFault(
                    path.appending("fields"),
                    "\(shown(member.name)) is no field's name: small letters, digits and -, at most 32, not only digits"
                )
            }
            var reader = try SchemaReader(member.value, at: place)
            fields.append(try reader.field(named: member.name))
        }
        return fields
    }

    private mutating func field(named name: String) throws(SchemaFault) -> SchemaField {
        let explanation = try optionalText("description") ?? ""
        guard explanation.utf8.count <= 1000 else { throw fault("description", "must be shorter") }
        let isRequired = try boolean("required")
        let kind = try kind(try text("type"))
        var defaultValue: SettingsValue?
        if let json = value("default") {
            guard !isRequired, !kind.isSecret else {
                throw fault("default", "neither what is required nor a secret has a default")
            }
            if case .group = kind { throw fault("default", "a group's fields have their own defaults") }
            guard let value = SettingsValue(json) else { throw fault("default", "must be a value of the field's type") }
            do throws(SettingsError) {
                defaultValue = try kind.checked(value, at: path)
            } catch {
                throw fault("default", error.message)
            }
        }
        try finish()
        return SchemaField(
            name: name, kind: kind, isRequired: isRequired, defaultValue: defaultValue, explanation: explanation)
    }

    private mutating func kind(_ name: String) throws(SchemaFault) -> FieldKind {
        switch name {
        case "boolean": return .boolean
        case "integer": return .integer(try range(.min ... .max, usual: .min ... .max))
        case "text": return .text(try textRule())
        case "secret": return .secret(try textRule())
        case "choice": return .choice(try choices())
        case "address": return .address(try family())
        case "network": return .network(try family())
        case "interface-address": return .interfaceAddress(try family())
        case "hardware-address": return .hardwareAddress
        case "port": return .port
        case "host-name": return .hostName
        case "duration": return .duration(try durations())
        case "list": return .list(try listRule())
        case "group": return .group(try fields())
        default:
            throw fault(
                "type",
                "\(shown(name)) is none of boolean, integer, text, secret, choice, address, network, interface-address, "
                    + "hardware-address, port, host-name, duration, list, group")
        }
    }

    private mutating func textRule() throws(SchemaFault) -> TextRule {
        let usual = Int64(TextRule.usualLength.lowerBound)...Int64(TextRule.usualLength.upperBound)
        let length = try range(0...Int64(TextRule.maximumLength), usual: usual)
        var pattern: FieldPattern?
        if let text = try optionalText("pattern") {
            do throws(Refusal) { pattern = try FieldPattern(text) } catch { throw fault("pattern", error.reason) }
        }
        return TextRule(length: Int(length.lowerBound)...Int(length.upperBound), pattern: pattern)
    }

    private mutating func choices() throws(SchemaFault) -> [String] {
        var choices: [String] = []
        for value in try list("values") {
            guard case .string(let text) = value, (1...255).contains(text.utf8.count), !choices.contains(text) else {
                throw fault("values", "must be different texts of at most 255 bytes")
            }
            choices.append(text)
        }
        guard (1...256).contains(choices.count) else { throw fault("values", "must be 1 to 256 texts") }
        return choices
    }

    private mutating func family() throws(SchemaFault) -> AddressFamily? {
        guard let text = try optionalText("family") else { return nil }
        guard let family = AddressFamily(rawValue: text) else { throw fault("family", "must be ipv4 or ipv6") }
        return family
    }

    private mutating func durations() throws(SchemaFault) -> ClosedRange<Int64> {
        var bounds: [Int64] = []
        for (name, usual) in [("minimum", "0s"), ("maximum", "36500d")] {
            guard let bound = Durations.parse(try optionalText(name) ?? usual) else {
                throw fault(name, "must be a duration, as 90s or 1h30m is")
            }
            bounds.append(bound)
        }
        guard bounds[0] <= bounds[1] else { throw fault("maximum", "must not be less than the minimum") }
        return bounds[0]...bounds[1]
    }

    private mutating func listRule() throws(SchemaFault) -> ListRule {
        let count = try range(0...Int64(ListRule.maximumCount), usual: 0...64)
        guard let json = value("of") else { throw fault("of", "is missing") }
        var reader = try SchemaReader(json, at: path.appending("of"))
        let element = try reader.kind(try reader.text("type"))
        try reader.finish()
        if case .list = element { throw reader.fault("type", "a list's elements cannot be lists; put a group between") }
        var uniqueness: ListRule.Uniqueness? = try boolean("unique") ? .element : nil
        if let name = try optionalText("unique-by") {
            guard case .group(let fields) = element, fields.contains(where: { $0.name == name }) else {
                throw fault("unique-by", "must be a field of the list's groups")
            }
            uniqueness = .field(name)
        }
        return ListRule(element: element, count: Int(count.lowerBound)...Int(count.upperBound), uniqueness: uniqueness)
    }
}
