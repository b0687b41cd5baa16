/// The ACPI tables of a hardware-reduced machine, as one run of bytes with the root pointer first.
/// Source: ACPI 6.5 §5.2.
struct ACPITables {
    /// Where the bytes will lie; a multiple of 16.
    var address: UInt64
    var platform: PlatformDescription

    var bytes: [UInt8] {
        // Offsets are multiples of 16, so that a table's fields lie as their widths ask.
        var tables: [UInt8] = []
        let base = address + UInt64(Self.padded(Self.rootPointerBytes))
        func place(_ table: [UInt8]) -> UInt64 {
            let place = base + UInt64(tables.count)
            tables += table
            tables += [UInt8](repeating: 0, count: Self.padded(tables.count) - tables.count)
            return place
        }
        let description = place(differentiatedDescription)
        let fixed = place(fixedDescription(differentiatedDescription: description))
        let interrupts = place(multipleInterrupts)
        var list: [UInt8] = []
        list.append(littleEndian: fixed)
        list.append(littleEndian: interrupts)
        let root = place(Self.table("XSDT", revision: 1, list))

        var bytes = Self.rootPointer(extendedRoot: root)
        bytes += [UInt8](repeating: 0, count: Self.padded(bytes.count) - bytes.count)
        return bytes + tables
    }

    private static let rootPointerBytes = 36

    private static func padded(_ count: Int) -> Int { (count + 15) & ~15 }

    /// A table: the common header, then its contents.
    static func table(_ signature: String, revision: UInt8, _ contents: [UInt8]) -> [UInt8] {
        var bytes = Array(signature.utf8)
        bytes.append(littleEndian: UInt32(36 + contents.count))
        bytes += [revision, 0]
        bytes += Array("SWIFTLMICROVM ".utf8)
        bytes.append(littleEndian: UInt32(1))
        bytes += Array("SWFT".utf8)
        bytes.append(littleEndian: UInt32(1))
        bytes += contents
        bytes.balance(0..<bytes.count, checksumAt: 9)
        return bytes
    }

    /// RSDP, revision 2. Source: ACPI 6.5 §5.2.5.3.
    private static func rootPointer(extendedRoot: UInt64) -> [UInt8] {
        var bytes = Array("RSD PTR ".utf8)
        bytes.append(0)
        bytes += Array("SWIFTL".utf8)
        bytes.append(2)
        bytes.append(littleEndian: UInt32(0))
        bytes.append(littleEndian: UInt32(rootPointerBytes))
        bytes.append(littleEndian: extendedRoot)
        bytes += [0, 0, 0, 0]
        bytes.balance(0..<20, checksumAt: 8)
        bytes.balance(0..<rootPointerBytes, checksumAt: 32)
        return bytes
    }

    /// FADT, revision 6.0. Offsets count from the table's start.
    /// Source: ACPI 6.5 §5.2.9.
    private func fixedDescription(differentiatedDescription: UInt64) -> [UInt8] {
        var table = [UInt8](repeating: 0, count: 276)
        table.store(littleEndian: UInt32(truncatingIfNeeded: differentiatedDescription), at: 40)
        table.store(littleEndian: differentiatedDescription, at: 140)
        // Latencies that mean: no C2, no C3.
        table.store(littleEndian: UInt16(0xfff), at: 96)
        table.store(littleEndian: UInt16(0xfff), at: 98)
        // Legacy devices (bit 0), keyboard controller (1), no VGA (2).
        table.store(littleEndian: UInt16(platform.announcesKeyboardController ? 7 : 5), at: 109)
        // WBINVD works (0), C1 on all processors (2), no fixed power (4) and sleep (5) buttons, reset register (10),
        // hardware-reduced (20).
        table.store(littleEndian: UInt32(0x10_0435), at: 112)
        table.store(port: platform.powerPorts.reset, at: 116)
        table[128] = platform.powerPorts.resetValue
        table.store(port: platform.powerPorts.sleepControl, at: 244)
        table.store(port: platform.powerPorts.sleepStatus, at: 256)
        for (index, byte) in "SWIFTLET".utf8.enumerated() { table[268 + index] = byte }
        return Self.table("FACP", revision: 6, Array(table[36...]))
    }

    /// MADT: local interrupt controllers, then the one I/O interrupt controller with interrupts from 0.
    /// Source: ACPI 6.5 §5.2.12.
    private var multipleInterrupts: [UInt8] {
        var contents: [UInt8] = []
        contents.append(littleEndian: UInt32(0xfee0_0000))
        // No 8259.
        contents.append(littleEndian: UInt32(0))
        for (index, identifier) in platform.processorIdentifiers.enumerated() {
            if identifier < 0xff {
                contents += [0, 8, UInt8(truncatingIfNeeded: index), UInt8(identifier)]
                contents.append(littleEndian: UInt32(1))
            } else {
                contents += [9, 16, 0, 0]
                contents.append(littleEndian: identifier)
                contents.append(littleEndian: UInt32(1))
                contents.append(littleEndian: UInt32(truncatingIfNeeded: index))
            }
        }
        contents += [1, 12, InterruptController.identifier, 0]
        contents.append(littleEndian: InterruptController.address)
        contents.append(littleEndian: UInt32(0))
        // Non-maskable interrupts arrive at the second local input of all processors.
        contents += [4, 6, 0xff, 0, 0, 1]
        return Self.table("APIC", revision: 5, contents)
    }

    /// DSDT.
    private var differentiatedDescription: [UInt8] {
        Self.table("DSDT", revision: 2, DeviceDescriptions(platform: platform).bytes)
    }
}

extension [UInt8] {
    /// A register of one byte on an I/O port. Source: ACPI 6.5 §5.2.3.2 (generic address structure).
    fileprivate mutating func store(port: UInt16, at offset: Int) {
        self[offset] = 1
        self[offset + 1] = 8
        self[offset + 2] = 0
        self[offset + 3] = 1
        store(littleEndian: UInt64(port), at: offset + 4)
    }
}
