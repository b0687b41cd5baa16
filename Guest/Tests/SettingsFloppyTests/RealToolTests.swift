import AgentTestSupport
import Foundation
import Testing

@testable import SettingsFloppy

/// `fsck.fat` and mtools as judges of what is written, and as makers of what is read. Scripts/setup installs both.
@Suite struct RealToolTests {
    private let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("swiftlet-floppy-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    private func shell(_ script: String) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["-euc", script]
        process.currentDirectoryURL = folder
        process.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "MTOOLS_SKIP_CHECK": "0"]
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }

    private func write(_ name: String, _ bytes: [UInt8]) throws {
        try Data(bytes).write(to: folder.appendingPathComponent(name))
    }

    private func read(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: folder.appendingPathComponent(name)))
    }

    private func finish() { try? FileManager.default.removeItem(at: folder) }

    @Test func `fsck.fat and mtools find a floppy with settings in order`() throws {
        defer { finish() }
        var volume = try SettingsVolume(MemoryFloppy(try SlotLayout.emptyFloppy(serial: 0x1234_5678)))
        for text in ["one=1\n", "two=2\n"] {
            try volume.commit([UInt8](text.utf8), schemaName: [0x61], schemaVersion: 1, writtenSeconds: 1)
        }
        try write("floppy", volume.storage.bytes)
        let check = try shell("fsck.fat -n -v floppy")
        #expect(check.status == 0, "\(check.output)")
        #expect(check.output.contains("4 files, 2051/2847 clusters"), "\(check.output)")
        let list = try shell(
            "mdir -b -i floppy ::; minfo -i floppy ::; mlabel -s -i floppy ::; mtype -i floppy ::README.TXT")
        #expect(list.status == 0, "\(list.output)")
        for text in ["SLOT_A.SET", "SLOT_B.SET", "SETTINGS", "12345678", "-t 80 -h 2 -s 18", "path=value"] {
            #expect(list.output.contains(text), "\(text): \(list.output)")
        }
        #expect(try shell("mcopy -i floppy ::SLOT_B.SET slot").status == 0)
        let slot = try read("slot")
        #expect(slot.count == 1025 * 512 && slot[512..<518].elementsEqual("two=2\n".utf8))
        #expect(GenerationHeader([UInt8](slot[..<512]))?.number == 2)
    }

    @Test func `a torn floppy is in order for fsck.fat`() throws {
        defer { finish() }
        for sectors in [0, 1, 7, 1023, 1024] {
            var volume = try SettingsVolume(
                TearingFloppy(try SlotLayout.emptyFloppy(serial: 1), cut: .init(sectors: sectors, bytes: 100)))
            _ = try? volume.commit([1, 2], schemaName: [], schemaVersion: 1, writtenSeconds: 1)
            try write("floppy", volume.storage.floppy.bytes)
            let check = try shell("fsck.fat -n floppy")
            #expect(check.status == 0, "\(check.output)")
        }
    }

    @Test func `a floppy that other tools made, its slots in pieces among other files, is read and written`() throws {
        defer { finish() }
        try write("slot", [UInt8](repeating: 0, count: 1025 * 512))
        let made = try shell(
            """
            mkfs.fat -C -F 12 -n OTHER floppy 1440 > made
            for n in 1 2 3 4 5 6 7 8 9; do head -c 30000 /dev/urandom > filler; mcopy -i floppy filler ::f$n; done
            mdel -i floppy ::f1 ::f3 ::f5 ::f7
            mcopy -i floppy slot ::SLOT_A.SET
            mdel -i floppy ::f2 ::f4
            mcopy -i floppy slot ::SLOT_B.SET
            mcopy -i floppy filler "::a long name for nothing"; mmd -i floppy ::folder
            """)
        #expect(made.status == 0, "\(made.output)")
        var volume = try SettingsVolume(MemoryFloppy(try read("floppy")))
        for text in ["first", "second", "third"] {
            let body = [UInt8](String(repeating: text, count: 9000).utf8)
            try volume.commit(body, schemaName: [], schemaVersion: 1, writtenSeconds: 1)
            #expect(try volume.current(atSeconds: nil)?.body == body)
        }
        try write("floppy", volume.storage.bytes)
        let check = try shell(
            "fsck.fat -n floppy; mcopy -i floppy ::SLOT_A.SET out; mcopy -i floppy ::f9 f9; cmp f9 filler")
        #expect(check.status == 0, "\(check.output)")
        #expect(try read("out")[512..<517].elementsEqual("third".utf8))
    }
}
