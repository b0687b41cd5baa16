import JSONFields
public import WireFormats

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
        try self.init(json, source: bytes)
    }

    /// A schema that stands within another document.
    public init(_ json: JSONValue) throws(SettingsError) {
        let source = Array(json.text.utf8)
        guard source.count <= Self.maximumBytes else {
            throw SettingsError(.invalidSchema, "the schema is longer than \(Self.maximumBytes) bytes")
        }
        try self.init(json, source: source)
    }

    private init(_ json: JSONValue, source: [UInt8]) throws(SettingsError) {
        do throws(FieldFault) {
            var reader = try FieldReader(json)
            let name = try reader.text("name")
            guard Self.isName(name) else { throw reader.fault("name", "letters, digits, - and ., at most 63") }
            let version = try reader.integer("version", in: 1...Int64(UInt32.max))
            fields = try reader.fields()
            migrations = try reader.objects("migrations").map { migration throws(FieldFault) in
                try SchemaMigration(migration)
            }
            try reader.finish()
            self.name = name
            self.version = UInt32(truncatingIfNeeded: version)
            self.source = source
            try checkMigrations()
            try checkSize()
        } catch {
            throw SettingsError(.invalidSchema, "the schema's \(error)")
        }
    }

    static func isName(_ name: String) -> Bool {
        (1...63).contains(name.utf8.count) && name.first != "-" && name.first != "."
            && name.utf8.allSatisfy {
                (0x61...0x7a).contains($0) || (0x41...0x5a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d
                    || $0 == 0x2e
            }
    }

    private func checkMigrations() throws(FieldFault) {
        for (index, migration) in migrations.enumerated() {
            let expected = version - UInt32(min(migrations.count - index, Int(version)))
            guard migration.from == expected, expected > 0 else {
                throw FieldFault(
                    ["migrations", "\(index)", "from"],
                    "one for each version, without a gap, in their order, the last from \(version - 1)")
            }
        }
    }

    /// A schema all of whose lists are full must fit on a floppy's lines.
    private func checkSize() throws(FieldFault) {
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
        guard count <= 512 else { throw FieldFault(["fields"], "a schema has at most 512 fields") }
    }
}

extension FieldReader {
    /// The lower and upper bound that `minimum` and `maximum` give, within `limits`.
    private mutating func range(_ limits: ClosedRange<Int64>, usual: ClosedRange<Int64>) throws(FieldFault)
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

    fileprivate mutating func fields() throws(FieldFault) -> [SchemaField] {
        guard let json = value("fields"), case .object(let members) = json else {
            throw fault("fields", "must be an object of fields")
        }
        // `fields`, a name: at most four groups within one another, lists included.
        guard path.count <= 10 else { throw fault("fields", "are nested too deeply") }
        var fields: [SchemaField] = []
        for member in members {
            let place = path + ["fields", member.name]
            guard FieldPath(member.name)?.parts.count == 1, member.name.utf8.count <= 32, Int(member.name) == nil else {
                throw FieldFault(
                    path + ["fields"],
                    "\(shown(member.name)) is no field's name: small letters, digits and -, at most 32, not only digits"
                )
            }
            var reader = try FieldReader(member.value, at: place)
            fields.append(try reader.field(named: member.name))
        }
        return fields
    }

    private mutating func field(named name: String) throws(FieldFault) -> SchemaField {
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
            var problems: [FieldProblem] = []
            defaultValue = kind.check(value, at: FieldPath(), &problems)
            if let problem = problems.first { throw fault("default", problem.reason) }
        }
        try finish()
        return SchemaField(
            name: name, kind: kind, isRequired: isRequired, defaultValue: defaultValue, explanation: explanation)
    }

    private mutating func kind(_ name: String) throws(FieldFault) -> FieldKind {
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

    private mutating func textRule() throws(FieldFault) -> TextRule {
        let usual = Int64(TextRule.usualLength.lowerBound)...Int64(TextRule.usualLength.upperBound)
        let length = try range(0...Int64(TextRule.maximumLength), usual: usual)
        var pattern: FieldPattern?
        if let text = try optionalText("pattern") {
            do throws(Refusal) { pattern = try FieldPattern(text) } catch { throw fault("pattern", error.reason) }
        }
        return TextRule(length: Int(length.lowerBound)...Int(length.upperBound), pattern: pattern)
    }

    private mutating func choices() throws(FieldFault) -> [String] {
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

    private mutating func family() throws(FieldFault) -> AddressFamily? {
        guard let text = try optionalText("family") else { return nil }
        guard let family = AddressFamily(rawValue: text) else { throw fault("family", "must be ipv4 or ipv6") }
        return family
    }

    private mutating func durations() throws(FieldFault) -> ClosedRange<Int64> {
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

    private mutating func listRule() throws(FieldFault) -> ListRule {
        let count = try range(0...Int64(ListRule.maximumCount), usual: 0...64)
        guard let json = value("of") else { throw fault("of", "is missing") }
        var reader = try FieldReader(json, at: path + ["of"])
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
