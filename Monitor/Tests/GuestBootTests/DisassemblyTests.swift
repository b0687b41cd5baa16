import Foundation
import Testing

@testable import GuestBoot

/// The reference compiler's disassembler, where it is installed (Debian: acpica-tools).
private let disassembler = ["/usr/bin/iasl", "/usr/local/bin/iasl"].first(where: FileManager.default.isExecutableFile)

@Suite(.enabled(if: disassembler != nil, "iasl is not installed; Debian has it in acpica-tools"))
struct DisassemblyTests {
    /// Disassembles tables; the answer is the source text by signature.
    private func disassemble(_ tables: [String: [UInt8]]) throws -> (texts: [String: String], messages: String) {
        let folder = FileManager.default.temporaryDirectory.appending(path: "acpi-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var texts: [String: String] = [:]
        var messages = ""
        for (name, bytes) in tables {
            try Data(bytes).write(to: folder.appending(path: "\(name).aml"))
            for arguments in [["-d", "\(name).aml"], ["-ve", "-p", "again", "\(name).dsl"]] {
                let program = Process()
                let output = Pipe()
                program.executableURL = URL(filePath: try #require(disassembler))
                program.arguments = arguments
                program.currentDirectoryURL = folder
                program.standardOutput = output
                program.standardError = output
                try program.run()
                messages += String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
                program.waitUntilExit()
                #expect(program.terminationStatus == 0, "iasl \(arguments): \(messages)")
            }
            texts[name] = try String(contentsOf: folder.appending(path: "\(name).dsl"), encoding: .utf8)
        }
        return (texts, messages)
    }

    @Test func `the reference disassembler reads every table and compiles it again`() throws {
        let bytes = ACPITables(address: 0xe_0000, platform: examplePlatform).bytes
        let (texts, messages) = try disassemble(acpiTables(bytes, at: 0xe_0000))
        #expect(!messages.lowercased().contains("incorrect checksum") && !messages.contains("Error "), "\(messages)")
        let devices = try #require(texts["DSDT"])
        #expect(devices.contains("Device (V012)"))
        #expect(devices.contains("Name (_HID, \"LNRO0005\")"))
        #expect(devices.contains("Memory32Fixed (ReadWrite"))
        #expect(devices.contains("Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive"))
        #expect(devices.contains("EisaId (\"PNP0501\")"))
        #expect(devices.contains("Notify (\\_SB.PWRB, 0x80)"))
        #expect(devices.contains("Name (_CID, \"VM_Gen_Counter\")"))
        #expect(devices.contains("0x000FF000"))
        #expect(devices.contains("Notify (\\_SB.VGEN, 0x80)"))
        #expect(devices.contains("Name (\\_S5, Package (0x04)"))
        let fixed = try #require(texts["FACP"])
        #expect(fixed.contains("Hardware Reduced (V5) : 1"))
        #expect(try #require(texts["APIC"]).contains("Local Apic ID : 02"))
    }

    @Test func `a keyboard is told of only where there is to be one`() throws {
        var platform = examplePlatform
        for isThere in [false, true] {
            platform.announcesKeyboardController = isThere
            let (texts, _) = try disassemble(
                acpiTables(ACPITables(address: 0xe_0000, platform: platform).bytes, at: 0xe_0000))
            let devices = try #require(texts["DSDT"])
            #expect(devices.contains("EisaId (\"PNP0303\")") == isThere)
            #expect(devices.contains("0x0060") == isThere && devices.contains("0x0064") == isThere)
        }
    }
}
