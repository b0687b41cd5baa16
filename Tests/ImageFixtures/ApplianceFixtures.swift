import Appliances

/// A description with every field.
public let exampleDescription = """
    {
      "name": "firewall", "version": "1.4.2", "type": "container", "architecture": "amd64", "least-memory-mib": 64,
      "description": "Routes, translates and filters",
      "command": ["/usr/sbin/route", "--all"], "environment": ["A=b"], "user": "0:0", "working-directory": "/srv",
      "apply": ["/usr/sbin/apply"], "kernel-arguments": "quiet",
      "interfaces": [
        {"name": "wan", "role": "outside", "required": true, "description": "To the provider"},
        {"name": "lan", "role": "inside", "required": true, "addressed-by-program": true},
        {"name": "dmz", "role": "dmz"}
      ],
      "health": {"command": ["/usr/sbin/check", "--all"], "interval": "5s", "timeout": "500ms", "retries": 2, "start": "20s"},
      "settings": \(exampleSchema)
    }
    """

/// Reads any bytes as an appliance's manifest and as its description.
public func fuzzAppliance(_ bytes: [UInt8]) {
    if let manifest = try? ApplianceManifest(parsing: bytes) {
        precondition((try? ApplianceManifest(parsing: manifest.bytes)) == manifest, "a manifest changed")
    }
    _ = try? ApplianceDescription(parsing: bytes)
}
