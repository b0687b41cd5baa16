import ApplianceSettings

/// A schema with a field of every kind.
public let exampleSchema = #"""
    {
      "name": "firewall", "version": 3,
      "fields": {
        "host-name": {"type": "host-name", "default": "fw", "description": "What it calls itself"},
        "mtu": {"type": "integer", "minimum": 576, "maximum": 9000, "default": 1500},
        "logging": {"type": "boolean", "default": false},
        "mode": {"type": "choice", "values": ["strict", "open"], "default": "strict"},
        "banner": {"type": "text", "maximum": 40, "pattern": "[A-Za-z ]*"},
        "lease": {"type": "duration", "minimum": "1m", "maximum": "7d", "default": "12h"},
        "wan": {"type": "group", "fields": {
          "address": {"type": "interface-address", "family": "ipv4", "required": true},
          "gateway": {"type": "address"},
          "hardware": {"type": "hardware-address"}
        }},
        "dns": {"type": "group", "fields": {
          "servers": {"type": "list", "of": {"type": "address"}, "maximum": 4, "unique": true, "default": ["1.1.1.1"]}
        }},
        "admin": {"type": "group", "fields": {
          "password": {"type": "secret", "minimum": 8},
          "port": {"type": "port", "default": 8443}
        }},
        "rules": {"type": "list", "maximum": 100, "unique-by": "name", "of": {"type": "group", "fields": {
          "name": {"type": "text", "minimum": 1, "maximum": 20, "required": true},
          "from": {"type": "network"},
          "action": {"type": "choice", "values": ["accept", "drop"], "default": "drop"},
          "key": {"type": "secret"}
        }}}
      },
      "migrations": [
        {"from": 1, "up": [{"rename": "size", "to": "mtu"}], "down": [{"rename": "mtu", "to": "size"}]},
        {"from": 2,
         "up": [{"map": "rules.*.action", "values": {"allow": "accept"}}, {"set": "wan.address", "value": "192.0.2.1/24"},
                {"remove": "old"}],
         "down": [{"map": "rules.*.action", "values": {"accept": "allow"}}, {"remove": "wan"}]}
      ]
    }
    """#

/// Reads any bytes as a schema, as a document and as a floppy's lines.
///
/// Whatever the bytes are, this returns; and what is accepted survives being written and read.
public func fuzzSettings(_ bytes: [UInt8]) {
    guard let example = try? SettingsSchema(parsing: Array(exampleSchema.utf8)) else {
        preconditionFailure("the example is refused")
    }
    _ = try? example.settings(inLines: bytes)
    if let changes = try? SettingsProposal.changes(bytes) {
        let fields = changes.compactMap { change in change.text.map { (path: "\(change.path)", value: $0) } }
        precondition(changes.count <= SettingsProposal.maximumChanges, "too many changes are accepted")
        if let settings = try? example.settings(setting: fields) {
            precondition((try? example.checked(settings)) == settings, "proposed settings are refused")
        }
    }
    for schema in [try? SettingsSchema(parsing: bytes), example].compactMap({ $0 }) {
        guard let document = try? SettingsDocument.parse(bytes) else { continue }
        _ = try? schema.migrated(document, from: schema)
        guard let settings = try? schema.checked(document) else { continue }
        precondition((try? schema.checked(settings)) == settings, "checked settings are refused")
        precondition(
            (try? schema.settings(inLines: try schema.lines(settings))) == settings, "settings changed on their way")
        precondition((try? SettingsDocument.parse(Array(settings.text.utf8))) == settings, "the text differs")
        _ = schema.hidingSecrets(settings)
    }
}
