import HostFiles
import ImageFixtures
import SettingsFloppy
import Testing

@testable import ApplianceSettings

@Suite struct SettingsStoreTests {
    let scratch: ScratchFolder
    let store: SettingsStore
    let schema: SettingsSchema

    init() throws {
        scratch = try ScratchFolder()
        store = SettingsStore(root: scratch.appending("settings"))
        schema = try SettingsSchema(parsing: Array(exampleSchema.utf8))
    }

    private func document(_ text: String) throws -> SettingsValue { try SettingsDocument.parse(Array(text.utf8)) }

    private func made() throws -> NamedSettings {
        try store.create("fw", schema: schema, settings: try document(#"{"wan": {"address": "192.0.2.5/24"}}"#))
    }

    private func set(_ named: NamedSettings, _ path: String, _ value: String) throws -> SettingsGeneration {
        try named.change { current throws(SettingsError) in try current.applying([try SettingsChange(path, value)]) }
    }

    private func code(_ body: () throws -> Void) -> SettingsError.Code? {
        do { try body() } catch { return (error as? SettingsError)?.code }
        return nil
    }

    @Test func `new settings have a floppy that others accept, readable by their owner alone`() throws {
        let named = try made()
        let current = try named.current()
        #expect(current.number == 1 && current.schema == schema)
        #expect(try store.names() == ["fw"])
        let check = try run("fsck.fat", ["-n", "\(named.floppy)"])
        #expect(check.status == 0, "\(check.output)")
        #expect(try named.floppy.status().mode & 0o777 == 0o600)
        #expect(code { _ = try made() } == .exists)
        for name in ["", ".x", "a/b", "a b", String(repeating: "a", count: 64)] {
            #expect(code { _ = try store.create(name, schema: schema) } == .invalidName)
        }
    }

    @Test func `settings that are refused leave nothing`() throws {
        #expect(code { _ = try store.create("fw", schema: schema) } == .refused)
        #expect(try store.names() == [])
        let named = try made()
        let before = try readFile("\(named.floppy)")
        #expect(code { _ = try set(named, "mtu", "1") } == .refused)
        #expect(try readFile("\(named.floppy)") == before && named.history().count == 1)
    }

    @Test func `each change is a generation, and none is lost`() throws {
        let named = try made()
        for mtu in 600..<610 { #expect(try set(named, "mtu", "\(mtu)").number == UInt64(mtu - 598)) }
        #expect(try set(named, "mtu", "609").number == 11)
        let history = try named.history()
        #expect(history.map(\.number) == (1...11).reversed() && history.map(\.state).prefix(2) == [.current, .past])
        #expect(try named.generation(3).settings[FieldPath(["mtu"])] == .integer(601))
        #expect(code { _ = try named.generation(12) } == .unknownGeneration)
        #expect(try readFile("\(named.floppy)").count == 1_474_560)
    }

    @Test func `rollback brings any of them back, as a new one`() throws {
        let named = try made()
        for mtu in [600, 601, 602] { _ = try set(named, "mtu", "\(mtu)") }
        #expect(try named.rollback().settings[FieldPath(["mtu"])] == .integer(601))
        let first = try named.rollback(to: 1)
        #expect(first.number == 6 && first.settings[FieldPath(["mtu"])] == nil)
        #expect(code { _ = try named.rollback(to: 77) } == .unknownGeneration)
    }

    @Test func `only so many are kept`() throws {
        let named = try made()
        for index in 0..<NamedSettings.keptGenerations + 5 { _ = try set(named, "mtu", "\(600 + index % 2)") }
        #expect(try named.history().count == NamedSettings.keptGenerations)
    }

    @Test func `noise on the floppy changes nothing, and rollback makes a new one`() throws {
        let named = try made()
        _ = try set(named, "mtu", "600")
        try scratch.write("settings/fw/floppy.img", [UInt8](repeating: 0xa5, count: 1_474_560))
        #expect(code { _ = try named.current() } == .damagedFloppy)
        #expect(code { _ = try set(named, "mtu", "700") } == .damagedFloppy)
        #expect(try named.history().map(\.number) == [2, 1])
        let back = try named.rollback()
        #expect(back.number == 3 && back.settings[FieldPath(["mtu"])] == .integer(600))
        try named.floppy.removeFile()
        #expect(try named.rollback(to: 1).number == 4)
        #expect(try named.current().settings[FieldPath(["mtu"])] == nil)
    }

    @Test func `what a guest commits is read, checked and kept in the history`() throws {
        let named = try made()
        func commit(_ lines: String) throws {
            var volume = try SettingsVolume(MemoryFloppy(try readFile("\(named.floppy)")))
            try volume.commit(
                Array(lines.utf8), schemaName: Array("firewall".utf8), schemaVersion: 3, writtenSeconds: 5)
            try scratch.write("settings/fw/floppy.img", volume.storage.bytes)
        }
        try commit("wan.address=198.51.100.1/24\nmtu=1300\n")
        #expect(try named.current().settings[FieldPath(["mtu"])] == .integer(1300))
        _ = try set(named, "mtu", "1400")
        _ = try set(named, "mtu", "1401")
        #expect(try named.generation(2).settings[FieldPath(["mtu"])] == .integer(1300))
        try commit("mtu=1\n")
        #expect(code { _ = try named.current() } == .refused)
        #expect(try named.rollback(to: 2).settings[FieldPath(["mtu"])] == .integer(1300))
    }

    @Test func `settings that want to be confirmed go back by themselves`() throws {
        let named = try made()
        let change: (SettingsGeneration) throws(SettingsError) -> SettingsValue = { current throws(SettingsError) in
            try current.applying([try SettingsChange("mtu", "600")])
        }
        _ = try named.change(confirmWithinSeconds: 0, change)
        #expect(try named.current().number == 1 && named.history().map(\.state) == [.expired, .current])
        _ = try named.change(confirmWithinSeconds: 1000, change)
        #expect(try named.current().number == 3 && named.history().first?.state == .pending)
        #expect(try named.confirm().deadlineSeconds == nil)
        #expect(try named.history().first?.state == .current)
    }

    @Test func `whoever changed them meanwhile is not overwritten`() throws {
        let named = try made()
        let seen = try named.current().number
        _ = try set(named, "mtu", "600")
        #expect(
            code { try named.change(expecting: seen) { current throws(SettingsError) in current.settings } }
                == .conflict)
    }

    @Test func `settings go to another version of their schema and back`() throws {
        let named = try made()
        _ = try set(named, "mtu", "600")
        let four = try SettingsSchema(
            parsing: Array(
                exampleSchema.replacing(#""version": 3"#, with: #""version": 4"#)
                    .replacing(#""mtu": {"#, with: #""size": {"#)
                    .replacing(
                        #"{"remove": "wan"}]}"#,
                        with: #"{"remove": "wan"}]}, {"from": 3, "up": [{"rename": "mtu", "to": "size"}],"#
                            + #" "down": [{"rename": "size", "to": "mtu"}]}"#
                    ).utf8))
        let up = try named.migrate(to: four)
        #expect(up.number == 3 && up.settings[FieldPath(["size"])] == .integer(600))
        // The older generation comes back by the same steps, and the older schema too.
        #expect(try named.rollback(to: 2).settings[FieldPath(["size"])] == .integer(600))
        let down = try named.migrate(to: schema)
        #expect(down.schema.version == 3 && down.settings[FieldPath(["mtu"])] == .integer(600))
        #expect(try named.history().map(\.schemaVersion) == [3, 4, 4, 3, 3])
    }

    @Test func `many who write at once lose nothing`() async throws {
        let named = try made()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<8 {
                group.addTask {
                    _ = try named.change { current throws(SettingsError) in
                        try current.applying([
                            try SettingsChange("rules.\(Self.count(current))", #"{"name": "r\#(index)"}"#)
                        ])
                    }
                }
            }
            try await group.waitForAll()
        }
        let current = try named.current()
        #expect(current.number == 9 && Self.count(current) == 8)
    }

    private static func count(_ generation: SettingsGeneration) -> Int {
        guard case .list(let rules) = generation.settings[FieldPath(["rules"])] else { return 0 }
        return rules.count
    }

    @Test func `what others left half made goes`() throws {
        try scratch.write("settings/.new-1-1/floppy.img", [1])
        try scratch.write("settings/.gone-1-1/floppy.img", [1])
        _ = try made()
        try store.remove("fw")
        #expect(try store.names() == [] && code { _ = try store.settings("fw") } == .unknown)
        #expect(try run("ls", ["-A", scratch.appending("settings")]).output == ".lock\n")
    }
}
