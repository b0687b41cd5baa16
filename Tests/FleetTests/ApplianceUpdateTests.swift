import ApplianceSettings
import Foundation
import HostFiles
import ImageStore
import Testing

@testable import Fleet

/// What versions of an appliance a machine can become.
@Suite struct ApplianceUpdateTests {
    @Test func `a version that needs an interface which the machine has not is refused`() throws {
        let folder = NSTemporaryDirectory() + "appliance-updates-\(UInt64.random(in: 0...UInt64.max))"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let fleet = MachineFleet(ProductPaths(data: folder + "/data", runtime: folder + "/run", libexec: folder))
        try FileManager.default.createDirectory(atPath: folder + "/root", withIntermediateDirectories: true)
        try Data("program".utf8).write(to: URL(fileURLWithPath: folder + "/root/file"))
        let root = try fleet.images.importImage(from: folder + "/root", as: "root", settings: ImportSettings())
        func version(_ version: String, _ interfaces: String) throws -> StoredImage {
            let description = """
                {"name": "router", "version": "\(version)", "type": "application", "least-memory-mib": 64,
                 "architecture": "\(ImportSettings.hostArchitecture)", "command": ["/file"], "interfaces": [\(interfaces)]}
                """
            return try fleet.images.buildAppliance(of: root, description: Array(description.utf8))
        }
        let (outside, eth) = (
            #"{"name": "outside", "role": "outside", "required": true}"#,
            #"{"name": "eth1", "role": "inside", "required": true}"#
        )
        let first = try version("1.0", "\(outside), \(eth)")
        var specification = MachineSpecification()
        specification.kernelPath = fleet.store.paths.kernels + "/kernel"
        specification.interfaces = [.init(.bareTap, name: "outside"), .init(.bareTap)]
        specification.appliance = MachineAppliance(
            name: "router", version: "1.0", manifestDigest: "", descriptionDigest: "", apply: [])
        try specification.take(first, called: "router:1.0", with: ImageOverrides())

        let fits = try version("1.1", #"\#(outside), \#(eth), {"name": "dmz", "role": "dmz"}"#)
        let next = try fleet.specification(of: specification, madeOf: fits, called: "router:1.1")
        #expect(next.appliance?.version == "1.1" && next.interfaces == specification.interfaces)

        let more = try version("1.2", #"\#(outside), {"name": "backup", "role": "spare", "required": true}"#)
        let error = #expect(throws: FleetError.self) {
            try fleet.specification(of: specification, madeOf: more, called: "router:1.2")
        }
        #expect(error?.code == .missingInterface)
        #expect(error?.message.contains("router 1.2 needs the interface backup (spare)") == true)
    }

    @Test func `settings of another version keep a machine from beginning, and are not migrated from under one`() throws
    {
        let folder = NSTemporaryDirectory() + "appliance-settings-\(UInt64.random(in: 0...UInt64.max))"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let fleet = MachineFleet(ProductPaths(data: folder + "/data", runtime: folder + "/run", libexec: folder))
        try FileManager.default.createDirectory(atPath: folder + "/root", withIntermediateDirectories: true)
        try Data("program".utf8).write(to: URL(fileURLWithPath: folder + "/root/file"))
        let root = try fleet.images.importImage(from: folder + "/root", as: "root", settings: ImportSettings())
        let (one, two) = (
            Array(#"{"name": "web", "version": 1, "fields": {"port": {"type": "port", "default": 80}}}"#.utf8),
            Array(
                #"""
                {"name": "web", "version": 2, "fields": {"listen": {"type": "port", "default": 80}}, "migrations":
                 [{"from": 1, "up": [{"rename": "port", "to": "listen"}], "down": [{"rename": "listen", "to": "port"}]}]}
                """#.utf8)
        )
        let image = try fleet.images.buildAppliance(
            of: root,
            description: Array(
                """
                {"name": "web", "version": "1.0", "type": "application", "least-memory-mib": 64,
                 "architecture": "\(ImportSettings.hostArchitecture)", "command": ["/file"]}
                """.utf8), schema: one)
        var specification = MachineSpecification()
        specification.settingsName = "web"
        specification.appliance = MachineAppliance(
            name: "web", version: "1.0", manifestDigest: "", descriptionDigest: "", apply: [])
        try specification.take(image, called: "web:1.0", with: ImageOverrides())
        let (old, new) = (try SettingsSchema(parsing: one), try SettingsSchema(parsing: two))
        let named = try SettingsStore(root: fleet.store.paths.settings).create("web", schema: old)
        try fleet.checkSettings(of: specification)
        try fleet.checkMayMigrate("web", to: new)
        let machine = try fleet.store.create(specification, name: "web")
        machine.finish(exitStatus: 0, failure: nil)
        let refused = #expect(throws: FleetError.self) { try fleet.checkMayMigrate("web", to: new) }
        #expect(refused?.message.contains("swiftlet update web IMAGE") == true)
        try fleet.checkMayMigrate("web", to: old)
        _ = try named.migrate(to: new)
        let error = #expect(throws: FleetError.self) { try fleet.checkSettings(of: specification) }
        #expect(error?.message.contains("settings migrate web --schema web:1.0") == true)
        // Back to what it wants is always right.
        try fleet.checkMayMigrate("web", to: old)
    }
}
