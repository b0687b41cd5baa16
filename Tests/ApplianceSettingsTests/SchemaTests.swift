import ImageFixtures
import Testing

@testable import ApplianceSettings

@Suite struct SchemaTests {
    let schema: SettingsSchema

    init() throws { schema = try SettingsSchema(parsing: Array(exampleSchema.utf8)) }

    private func document(_ text: String) throws -> SettingsValue { try SettingsDocument.parse(Array(text.utf8)) }

    private func refusal(_ text: String) throws -> String {
        do {
            _ = try schema.checked(try document(text))
            return "accepted"
        } catch let error as SettingsError {
            #expect(error.code == .refused)
            return error.message
        }
    }

    static let least = #""wan": {"address": "192.0.2.5/24"}"#

    @Test func `settings are kept in one form`() throws {
        let checked = try schema.checked(
            try document(
                #"""
                // of the site in Bern
                {"wan": {"address": "192.0.2.5/24", "gateway": "2001:DB8:0::1", "hardware": "52:54:00:AB:cd:00"},
                  // not so long
                  "lease": "90m", "host-name": "FW.Example"}
                """#))
        #expect(checked[FieldPath(["wan", "gateway"])] == .text("2001:db8::1"))
        #expect(checked[FieldPath(["wan", "hardware"])] == .text("52:54:00:ab:cd:00"))
        #expect(checked[FieldPath(["lease"])] == .text("90m"))
        #expect(checked[FieldPath(["host-name"])] == .text("fw.example"))
        #expect(checked[FieldPath(["mtu"])] == nil)
        let completed = schema.completed(checked)
        #expect(completed[FieldPath(["mtu"])] == .integer(1500))
        #expect(completed[FieldPath(["dns", "servers", "0"])] == .text("1.1.1.1"))
        #expect(completed[FieldPath(["admin", "port"])] == .integer(8443))
        #expect(completed[FieldPath(["admin", "password"])] == nil)
    }

    @Test(arguments: [
        (#"{}"#, "wan.address: is required: an IPv4 address with a prefix"),
        (#"{\#(least), "mtu": 100}"#, "mtu: 100 is not a whole number from 576 to 9000"),
        (#"{\#(least), "mtu": "1500"}"#, "mtu: is a text, and must be a whole number"),
        (#"{\#(least), "mut": 1}"#, "mut: there is no such field; there is"),
        (#"{\#(least), "mode": "off"}"#, #"mode: "off" is not one of strict, open"#),
        (#"{\#(least), "logging": 1}"#, "logging: is a number, and must be true or false"),
        (#"{\#(least), "banner": "a1"}"#, #"banner: "a1" does not match [A-Za-z ]*"#),
        (#"{\#(least), "lease": "59s"}"#, "lease: 59s is not a duration from 1m to 7d"),
        (#"{\#(least), "lease": "1"}"#, #"lease: "1" is not a duration"#),
        (#"{\#(least), "host-name": "-a"}"#, #"host-name: "-a" is not a host name"#),
        (#"{"wan": {"address": "192.0.2.5"}}"#, "wan.address: \"192.0.2.5\" is not an address with a prefix"),
        (#"{"wan": {"address": "192.0.2.5/33"}}"#, "wan.address: the prefix of"),
        (#"{"wan": {"address": "fd00::1/64"}}"#, "wan.address: fd00::1 is not an IPv4 address"),
        (#"{"wan": {"address": "192.0.2.5/24", "hardware": "01:00:00:00:00:00"}}"#, "wan.hardware: "),
        (#"{"wan": []}"#, "wan: is a list, and must be a group of fields"),
        (#"{\#(least), "dns": {"servers": ["1.1.1.1", "1.1.1"]}}"#, "dns.servers.1: \"1.1.1\" is not an IP address"),
        (#"{\#(least), "dns": {"servers": ["fd00::1", "fd00:0::1"]}}"#, "dns.servers.1: is the same as in element 0"),
        (
            #"{\#(least), "dns": {"servers": ["1.1.1.1","1.1.1.2","1.1.1.3","1.1.1.4","1.1.1.5"]}}"#,
            "dns.servers: has 5 elements, and must have 0 to 4"
        ),
        (#"{\#(least), "rules": [{"name": "a"}, {"name": "a"}]}"#, "rules.1.name: is the same as in element 0"),
        (#"{\#(least), "rules": [{"name": "a", "from": "10.0.0.1/8"}]}"#, "the network is 10.0.0.0/8"),
        (#"{\#(least), "rules": [{}]}"#, "rules.0.name: is required"),
        (#"{\#(least), "admin": {"port": 0}}"#, "admin.port: 0 is not a port"),
        (#"{\#(least), "admin": {"password": "short"}}"#, "admin.password: has 5 characters"),
    ])
    func `what does not fit is refused with its path and the reason`(text: String, reason: String) throws {
        let message = try refusal(text)
        #expect(message.contains(reason), "\(message)")
    }

    @Test func `everything that is wrong is told at once, secrets never`() throws {
        let message = try refusal(#"{"mtu": 1, "mode": "x", "admin": {"password": "hidden"}, "a b": 1}"#)
        for path in ["mtu: ", "mode: ", "admin.password: ", "wan.address: ", "\"a b\": "] {
            #expect(message.contains(path), "\(message)")
        }
        #expect(!message.contains("hidden"))
    }

    @Test(arguments: ["", "[]", "1", "{", #"{"a": null}"#, #"{"a": 1.5}"#, #"{"a": 1, "a": 2}"#, "# x\n{}"])
    func `what is no document is refused`(text: String) {
        #expect { _ = try document(text) } throws: { ($0 as? SettingsError)?.code == .invalidText }
    }

    @Test(arguments: [
        (#"{"version": 1, "fields": {}}"#, "name"),
        (#"{"name": "a", "version": 0, "fields": {}}"#, "version"),
        (#"{"name": "a", "version": 1}"#, "fields"),
        (#"{"name": "a", "version": 1, "fields": {}, "x": 1}"#, "x"),
        (#"{"name": "a", "version": 1, "fields": {"A": {"type": "port"}}}"#, "field's name"),
        (#"{"name": "a", "version": 1, "fields": {"1": {"type": "port"}}}"#, "field's name"),
        (#"{"name": "a", "version": 1, "fields": {"a": {"type": "float"}}}"#, "fields.a.type"),
        (#"{"name": "a", "version": 1, "fields": {"a": {"type": "port", "default": 0}}}"#, "fields.a.default"),
        (#"{"name": "a", "version": 1, "fields": {"a": {"type": "secret", "default": "x"}}}"#, "fields.a.default"),
        (#"{"name": "a", "version": 1, "fields": {"a": {"type": "integer", "minimum": 2, "maximum": 1}}}"#, "maximum"),
        (#"{"name": "a", "version": 1, "fields": {"a": {"type": "text", "pattern": "("}}}"#, "fields.a.pattern"),
        (#"{"name": "a", "version": 1, "fields": {"a": {"type": "list", "of": {"type": "list"}}}}"#, "fields.a.of"),
        (#"{"name": "a", "version": 3, "fields": {}, "migrations": [{"from": 1, "up": [], "down": []}]}"#, "from"),
        (#"{"name": "a", "version": 2, "fields": {}, "migrations": [{"from": 1, "up": []}]}"#, "migrations.0.down"),
        (
            #"{"name": "a", "version": 2, "fields": {}, "migrations": [{"from": 1, "up": [{"x": 1}], "down": []}]}"#,
            "migrations.0.up.0"
        ),
    ])
    func `a schema that makes no sense is refused with the place`(text: String, place: String) {
        #expect { _ = try SettingsSchema(parsing: Array(text.utf8)) } throws: { error in
            guard let error = error as? SettingsError else { return false }
            return error.code == .invalidSchema && error.message.contains(place)
        }
    }

    @Test func `settings go up and down by the steps that are declared`() throws {
        let one = try SettingsSchema(
            parsing: Array(
                #"{"name":"firewall","version":1,"fields":{"size":{"type":"integer"},"rules":{"type":"list","of":{"type":"group","fields":{"name":{"type":"text"},"action":{"type":"choice","values":["allow","drop"]}}}},"old":{"type":"boolean"}}}"#
                    .utf8))
        let old = try one.checked(
            try document(#"{"size": 1400, "old": true, "rules": [{"name": "a", "action": "allow"}, {"name": "b"}]}"#))
        let new = try schema.migrated(old, from: one)
        #expect(
            new
                == (try document(
                    #"{"mtu": 1400, "wan": {"address": "192.0.2.1/24"}, "rules": [{"name": "a", "action": "accept"}, {"name": "b"}]}"#
                )))
        let back = try one.migrated(new, from: schema)
        #expect(back == (try document(#"{"size": 1400, "rules": [{"name": "a", "action": "allow"}, {"name": "b"}]}"#)))
        let other = try SettingsSchema(parsing: Array(#"{"name":"sniffer","version":1,"fields":{}}"#.utf8))
        let four = try SettingsSchema(parsing: Array(#"{"name":"firewall","version":4,"fields":{}}"#.utf8))
        for target in [other, four] {
            #expect { _ = try target.migrated(new, from: schema) } throws: {
                ($0 as? SettingsError)?.code == .cannotMigrate
            }
        }
    }

    @Test func `settings survive their way over a floppy`() throws {
        let settings = try schema.checked(
            try document(
                #"""
                {"wan": {"address": "192.0.2.5/24"}, "lease": "90s", "logging": true, "dns": {"servers": []},
                 "admin": {"password": "a=b\\c\nnext line"}, "rules": [{"name": "a", "key": "k"}, {"name": "b", "from": "::/0"}]}
                """#))
        let lines = String(decoding: try schema.lines(settings), as: UTF8.self)
        for line in [
            "wan.address=192.0.2.5/24\n", "lease=90\n", "dns.servers.count=0\n",
            "!admin.password=a=b\\\\c\\nnext line\n",
            "rules.count=2\n", "!rules.0.key=k\n", "#defaults\n", "\nmtu=1500\n", "\nrules.1.action=drop\n",
        ] { #expect(lines.contains(line), "\(line): \(lines)") }
        #expect(try schema.settings(inLines: Array(lines.utf8)) == settings)
    }

    @Test func `lines that a guest made wrong are refused`() throws {
        for lines in ["x", "mtu=1\nwan.address=192.0.2.5/24\n", "rules.count=9999\n", "mtu.x=1\n", "nothing=1\n"] {
            #expect(throws: SettingsError.self) { _ = try schema.settings(inLines: Array(lines.utf8)) }
        }
    }

    @Test func `fields are set and unset by their paths`() throws {
        let generation = SettingsGeneration(
            number: 1, schema: schema, settings: try document("{\(Self.least)}"), writtenSeconds: 0,
            deadlineSeconds: nil)
        func applied(_ changes: (String, String?)...) throws -> SettingsValue {
            try schema.checked(try generation.applying(try changes.map { try SettingsChange($0, $1) }))
        }
        let settings = try applied(
            ("mtu", "1400"), ("logging", "true"), ("dns.servers.1", "9.9.9.9"), ("rules.0.name", "a"),
            ("rules.0.action", "accept"), ("admin.password", "12345678"))
        #expect(settings[FieldPath(["dns", "servers"])] == .list([.text("1.1.1.1"), .text("9.9.9.9")]))
        #expect(settings[FieldPath(["rules", "0", "action"])] == .text("accept"))
        #expect(settings[FieldPath(["admin", "password"])] == .text("12345678"))
        #expect(try applied(("dns.servers.0", nil))[FieldPath(["dns", "servers"])] == .list([]))
        #expect(
            try applied(("dns.servers", #"["8.8.8.8"]"#))[FieldPath(["dns", "servers"])] == .list([.text("8.8.8.8")]))
        for (path, value) in [
            ("mtu", "x"), ("mtu.x", "1"), ("dns.servers.x", "1"), ("dns.servers.9", "1.1.1.1"), ("nothing", "1"),
            ("", "1"), ("wan.address", nil), ("dns.servers", "["),
        ] { #expect(throws: SettingsError.self, "\(path)") { _ = try applied((path, value)) } }
    }

    @Test func `secrets are hidden, and stay where they are said to`() throws {
        let settings = try document(#"{"admin": {"password": "12345678"}, "rules": [{"name": "a", "key": "k"}]}"#)
        let hidden = schema.hidingSecrets(settings)
        #expect(!hidden.text.contains("12345678") && hidden[FieldPath(["rules", "0", "key"])] == .text("<secret>"))
        #expect(try schema.restoringSecrets(hidden, from: settings) == settings)
        #expect(throws: SettingsError.self) { _ = try schema.restoringSecrets(hidden, from: .group([:])) }
        let other = try document(#"{"admin": {"password": "87654321"}, "rules": [{"name": "b", "key": "k"}]}"#)
        let differences = SettingsDifference.between(settings, other, schemas: (schema, schema))
        #expect(differences.map { "\($0.path)" } == ["admin.password", "rules.0.name"])
        #expect(differences[0].before == .text("<secret>") && differences[1].after == .text("b"))
    }

    @Test(arguments: [
        ("0s", 0, "0s"), ("500ms", 500, "500ms"), ("1h30m", 5_400_000, "90m"), ("24h", 86_400_000, "1d"),
        ("1s500ms", 1500, "1500ms"),
    ])
    func `durations have one form`(text: String, milliseconds: Int64, kept: String) {
        #expect(Durations.parse(text) == milliseconds && Durations.text(milliseconds: milliseconds) == kept)
        #expect(Durations.parseSeconds(Durations.seconds(milliseconds: milliseconds)) == milliseconds)
    }

    @Test(arguments: ["", "1", "s", "1x", "1m1h", "1s1s", "-1s", "1.5s", "99999999999999d", "٣s", "40000d"])
    func `other durations are refused`(text: String) { #expect(Durations.parse(text) == nil) }

    @Test func `a schema is the same in whatever order its fields are written`() throws {
        func schema(_ fields: String) throws -> SettingsSchema {
            try SettingsSchema(parsing: Array(#"{"name": "x", "version": 1, "fields": {\#(fields)}}"#.utf8))
        }
        let one =
            #""b": {"type": "port"}, "a": {"type": "group", "fields": {"d": {"type": "port"}, "c": {"type": "boolean"}}}"#
        let same =
            #""a": {"fields": {"c": {"type": "boolean"}, "d": {"type": "port"}}, "type": "group"},  "b": {"type": "port"}"#
        let other = #""a": {"type": "group", "fields": {"c": {"type": "boolean"}}}, "b": {"type": "port"}"#
        #expect(try schema(one) == schema(same))
        #expect(try schema(one) != schema(other))
    }
}
