import BootTestSupport
import Testing

@testable import GuestBoot

let examplePlatform = PlatformDescription(
    processorIdentifiers: [0, 1, 2, 300],
    virtioDevices: (0..<19).map { VirtioDeviceWindow(start: 0xd000_0000 + $0 * 4096, interrupt: 5 + $0) },
    powerButtonInterrupt: 3, generationInterrupt: 2)

/// ACPI tables by signature, found as a kernel finds them.
func acpiTables(_ bytes: [UInt8], at base: UInt64) -> [String: [UInt8]] {
    func table(_ address: UInt64) -> [UInt8] {
        let offset = Int(address - base)
        return Array(bytes[offset..<offset + Int(bytes.field(UInt32.self, at: offset + 4))])
    }
    var tables: [String: [UInt8]] = [:]
    let root = table(bytes.field(UInt64.self, at: 24))
    tables["XSDT"] = root
    for offset in stride(from: 36, to: root.count, by: 8) {
        let one = table(root.field(UInt64.self, at: offset))
        tables[String(decoding: one[..<4], as: UTF8.self)] = one
        if one[0] == UInt8(ascii: "F") { tables["DSDT"] = table(one.field(UInt64.self, at: 140)) }
    }
    return tables
}

@Suite struct FirmwareTableTests {
    private let acpi = ACPITables(address: 0xe_0000, platform: examplePlatform).bytes

    private func sum(_ bytes: [UInt8]) -> UInt8 { bytes.reduce(0, &+) }

    @Test func `every table's bytes add up to zero`() {
        #expect(Array(acpi[..<8]) == Array("RSD PTR ".utf8))
        #expect(sum(Array(acpi[..<20])) == 0 && sum(Array(acpi[..<36])) == 0)
        let tables = acpiTables(acpi, at: 0xe_0000)
        #expect(tables.keys.sorted() == ["APIC", "DSDT", "FACP", "XSDT"])
        for table in tables.values { #expect(sum(table) == 0) }
    }

    @Test func `the fixed table describes a hardware-reduced machine`() throws {
        let fixed = try #require(acpiTables(acpi, at: 0xe_0000)["FACP"])
        #expect(fixed.count == 276 && fixed[8] == 6)
        let flags = fixed.field(UInt32.self, at: 112)
        #expect(flags & 1 << 20 != 0 && flags & 1 << 10 != 0)
        // Space, width, offset, access, address.
        #expect(Array(fixed[244..<256]) == [1, 8, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0])
        #expect(Array(fixed[256..<268]) == [1, 8, 0, 1, 1, 6, 0, 0, 0, 0, 0, 0])
        #expect(Array(fixed[116..<129]) == [1, 8, 0, 1, 2, 6, 0, 0, 0, 0, 0, 0, 1])
        #expect(fixed.field(UInt16.self, at: 109) & 2 == 0)
    }

    @Test func `processors beyond 254 have x2APIC entries`() throws {
        let table = try #require(acpiTables(acpi, at: 0xe_0000)["APIC"])
        var kinds: [UInt8] = []
        var offset = 44
        while offset < table.count {
            kinds.append(table[offset])
            #expect(table[offset + 1] >= 6)
            offset += max(Int(table[offset + 1]), 1)
        }
        #expect(kinds == [0, 0, 0, 9, 1, 4])
    }

    @Test func `package lengths count themselves at each width`() {
        for (contents, head) in [(62, 1), (63, 2), (4093, 2), (4094, 3), (70_000, 3)] {
            let bytes = AML.package([UInt8](repeating: 0, count: contents))
            #expect(bytes.count == contents + head)
            var length = Int(bytes[0] & (head == 1 ? 0x3f : 0xf))
            for index in 1..<max(head, 1) { length |= Int(bytes[index]) << (8 * index - 4) }
            #expect(length == bytes.count)
            #expect(Int(bytes[0] >> 6) == head - 1)
        }
    }

    @Test func `identifiers are packed as the specification has them`() {
        // Source: ACPI 6.5 §19.3.4 by the well-known PNP0501 and PNP0C0C.
        #expect(AML.plugAndPlayIdentifier("PNP0501") == [0x0c, 0x41, 0xd0, 0x05, 0x01])
        #expect(AML.plugAndPlayIdentifier("PNP0C0C") == [0x0c, 0x41, 0xd0, 0x0c, 0x0c])
        #expect(AML.integer(0x1234) == [0x0b, 0x34, 0x12] && AML.integer(1) == [1] && AML.integer(2) == [0x0a, 2])
    }

    @Test func `the multiprocessor table fits its KiB with 32 processors`() {
        let table = MultiprocessorTable(address: 0x9_fc00, processorIdentifiers: (0..<32).map { $0 }).bytes
        #expect(table.count <= 1024)
        #expect(Array(table[..<4]) == Array("_MP_".utf8))
        #expect(sum(Array(table[..<16])) == 0 && sum(Array(table[16...])) == 0)
        #expect(table.field(UInt32.self, at: 4) == 0x9_fc10)
        #expect(Int(table.field(UInt16.self, at: 16 + 4)) == table.count - 16)
        var offset = 16 + 44
        var processors = 0
        var count = 0
        while offset < table.count {
            if table[offset] == 0 { processors += 1 }
            offset += table[offset] == 0 ? 20 : 8
            count += 1
        }
        #expect(offset == table.count && processors == 32)
        #expect(Int(table.field(UInt16.self, at: 16 + 34)) == count)
    }

    @Test func `discovery leaves out what is not wanted`() throws {
        let kernel = ElfKernelBuilder(code: pattern(64)).bytes
        let (boot, memory) = try prepare(kernel, platform: examplePlatform, discovery: [])
        #expect(boot.commandLine == "quiet")
        #expect(try memory.at(0xe_0000, 36).allSatisfy { $0 == 0 })
        #expect(try memory.at(0x9_fc00, 1024).allSatisfy { $0 == 0 })
        #expect(try memory.at(boot.processor.rsi + 0x70, 8).allSatisfy { $0 == 0 })
    }

    @Test func `only the enabled type that the tables give for soft off powers off`() {
        for value in UInt8.min...UInt8.max {
            #expect(PowerPorts.isPowerOff(value) == (value & 0x20 != 0 && value >> 2 & 7 == 5))
        }
    }
}
