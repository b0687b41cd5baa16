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

    @Test func `what guests ask for never drives out what people have set, and takes a bounded place`() throws {
        let named = try made()
        for mtu in 1300..<1315 { _ = try set(named, "mtu", "\(mtu)") }
        for mtu in 1400..<1430 {
            _ = try named.change(forGuest: true) { current throws(SettingsError) in
                try current.applying([try SettingsChange("mtu", "\(mtu)")])
            }
            // What its machine refuses goes back, for the guest as well.
            if mtu.isMultiple(of: 10) { _ = try named.rollback(forGuest: true) }
        }
        let history = try named.history()
        #expect(history.filter(\.isGuests).count == NamedSettings.keptOfGuests)
        #expect(history.filter { !$0.isGuests }.map(\.number) == (1...16).reversed())
        #expect(try named.rollback(to: 16).settings == (try named.generation(16).settings))
        let folder = HostPath(scratch.appending("settings/fw"))
        let marks = try folder.folderNames().filter { String(decoding: $0, as: UTF8.self).hasSuffix(".guest") }
        #expect(marks.count == NamedSettings.keptOfGuests)
        _ = try named.reset()
        #expect(try named.history().allSatisfy { !$0.isGuests })
        #expect(try !folder.folderNames().contains { String(decoding: $0, as: UTF8.self).hasSuffix(".guest") })
    }

    @Test func `a reset brings back what the settings were made with, and leaves nothing of what came after`() throws {
        let named = try made()
        let folder = HostPath(scratch.appending("settings/fw"))
        let inode = try named.floppy.status().inodeNumber
        _ = try set(named, "admin.password", "very-secret")
        _ = try set(named, "mtu", "1400")
        let after = try named.reset()
        let factory = try document(#"{"wan": {"address": "192.0.2.5/24"}}"#)
        #expect(after.settings == factory && after.number == 5)
        #expect(try named.current() == after)
        #expect(try named.floppy.status().inodeNumber == inode)
        for name in try folder.folderNames() {
            let bytes = try folder.appending(String(decoding: name, as: UTF8.self)).readWhole(limit: 2 << 20)
            #expect(bytes.firstRange(of: Array("very-secret".utf8)) == nil, "\(String(decoding: name, as: UTF8.self))")
        }
        try named.floppy.replaceWhole([UInt8](repeating: 7, count: 1_474_560), mode: 0o600)
        #expect(try named.reset().settings == after.settings)
        #expect(try named.current().number == 6)
    }

    @Test func `a change to be confirmed is taken back at once, and is on record as expired`() throws {
        let named = try made()
        #expect(code { _ = try named.takeBack() } == .unknownGeneration)
        let trial = try named.change(confirmWithinSeconds: 3600) { current throws(SettingsError) in
            try current.applying([try SettingsChange("mtu", "1400")])
        }
        #expect(code { _ = try set(named, "mtu", "1300") } == .unconfirmed)
        let after = try named.takeBack()
        #expect(after.number == 1)
        #expect(try named.current() == after)
        #expect(try named.history().map(\.state) == [.expired, .current])
        let next = try set(named, "mtu", "1300")
        #expect(next.number > trial.number)
        #expect(try named.rollback().settings == after.settings)
    }

    @Test func `what comes back may have to be confirmed, too`() throws {
        let named = try made()
        _ = try set(named, "mtu", "1400")
        let back = try named.rollback(to: 1, confirmWithinSeconds: 60)
        let path = try #require(FieldPath("mtu"))
        #expect(back.deadlineSeconds != nil && back.settings[path] == nil)
        #expect(try named.confirm().deadlineSeconds == nil)
    }

    @Test func `fields as people type them make settings, or are refused`() throws {
        let settings = try schema.settings(setting: [("wan.address", "192.0.2.5/24"), ("mtu", "1400")])
        let expected = try document(#"{"wan": {"address": "192.0.2.5/24"}, "mtu": 1400}"#)
        #expect(settings == expected)
        #expect(code { _ = try schema.settings(setting: [("mtu", "1400")]) } == .refused)
        #expect(code { _ = try schema.settings(setting: [("nothing", "1")]) } == .refused)
    }

    @Test func `what a guest proposes is changes in lines, and anything else is refused with its line`() throws {
        let changes = try SettingsProposal.changes(Array("# why\n\nmtu=1400\nname=a=b \n-dns.0\nlist=[\"x\"]".utf8))
        #expect(
            try changes == [
                SettingsChange("mtu", "1400"), SettingsChange("name", "a=b "), SettingsChange("dns.0", nil),
                SettingsChange("list", "[\"x\"]"),
            ])
        #expect(try SettingsProposal.changes([]) == [])
        func refusal(_ bytes: [UInt8]) -> String? {
            do throws(SettingsError) {
                _ = try SettingsProposal.changes(bytes)
                return nil
            } catch { return error.message }
        }
        #expect(refusal(Array("mtu=1\nmtu\n".utf8))?.contains("line 2 has no value") == true)
        #expect(refusal(Array("../etc=1".utf8))?.contains("is no field") == true)
        #expect(refusal([0x6d, 0x3d, 0xff])?.contains("UTF-8") == true)
        #expect(refusal([UInt8](repeating: 0x0a, count: SettingsProposal.maximumBytes + 1))?.contains("longer") == true)
        let many = String(repeating: "m=1\n", count: SettingsProposal.maximumChanges)
        #expect(refusal(Array(many.utf8)) == nil)
        #expect(refusal(Array((many + "m=1").utf8))?.contains("line 1025: more than") == true)
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
        // Nothing is built on what may go back.
        #expect(code { try named.change { current throws(SettingsError) in current.settings } } == .unconfirmed)
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
        _ = try named.change(confirmWithinSeconds: 1000) { current throws(SettingsError) in
            try current.applying([try SettingsChange("mtu", "700")])
        }
        #expect(code { _ = try named.migrate(to: four) } == .unconfirmed, "it would stay though nobody confirmed it")
        _ = try named.rollback(to: 2)
        let up = try named.migrate(to: four)
        #expect(up.number == 5 && up.settings[FieldPath(["size"])] == .integer(600))
        // The older generation comes back by the same steps, and the older schema too.
        #expect(try named.rollback(to: 2).settings[FieldPath(["size"])] == .integer(600))
        let down = try named.migrate(to: schema)
        #expect(down.schema.version == 3 && down.settings[FieldPath(["mtu"])] == .integer(600))
        #expect(try named.history().map(\.schemaVersion) == [3, 4, 4, 3, 3, 3, 3])
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
