/// Intel's multiprocessor table, for kernels without ACPI: floating pointer and configuration table in one.
/// Source: Intel MultiProcessor Specification 1.4 §4.
struct MultiprocessorTable {
    /// Where the floating pointer will lie; a multiple of 16.
    var address: UInt64
    var processorIdentifiers: [UInt32]

    private static let localInterruptController: UInt32 = 0xfee0_0000
    private static let floatingPointerBytes = 16
    private static let headerBytes = 44

    /// At most 1 KiB for 32 processors.
    var bytes: [UInt8] {
        var count: UInt16 = 0
        let entries = entries(&count)
        var bytes = Array("_MP_".utf8)
        bytes.append(littleEndian: UInt32(truncatingIfNeeded: address) + UInt32(Self.floatingPointerBytes))
        // Length in units of 16 bytes, revision 1.4, checksum, features: a configuration table is present.
        bytes += [1, 4, 0, 0, 0, 0, 0, 0]
        bytes.balance(0..<Self.floatingPointerBytes, checksumAt: 10)

        let start = bytes.count
        bytes += Array("PCMP".utf8)
        bytes.append(littleEndian: UInt16(truncatingIfNeeded: Self.headerBytes + entries.count))
        bytes += [4, 0]
        bytes += Array("SWIFTLETMICROVM     ".utf8)
        bytes.append(littleEndian: UInt32(0))
        bytes.append(littleEndian: UInt16(0))
        bytes.append(littleEndian: count)
        bytes.append(littleEndian: Self.localInterruptController)
        bytes.append(littleEndian: UInt32(0))
        bytes += entries
        bytes.balance(start..<bytes.count, checksumAt: start + 7)
        return bytes
    }

    private func entries(_ count: inout UInt16) -> [UInt8] {
        var entries: [UInt8] = []
        for (index, identifier) in processorIdentifiers.enumerated() where identifier < 0xff {
            // Enabled; the first boots.
            entries += [0, UInt8(identifier), 0x14, index == 0 ? 3 : 1]
            // Family 6 and the least of features; kernels ask the processor itself.
            entries.append(littleEndian: UInt32(0x600))
            entries.append(littleEndian: UInt32(0x201))
            entries.append(littleEndian: UInt64(0))
            count += 1
        }
        entries += [1, 0]
        entries += Array("ISA   ".utf8)
        entries += [2, InterruptController.identifier, 0x11, 1]
        entries.append(littleEndian: InterruptController.address)
        count += 2
        for pin in 0..<InterruptController.pinCount {
            // A vectored interrupt as the bus has them: edge-triggered, active high.
            entries += [3, 0, 0, 0, 0, pin, InterruptController.identifier, pin]
            count += 1
        }
        // What an 8259 would deliver at the first local input, and non-maskable interrupts at the second.
        entries += [4, 3, 0, 0, 0, 0, 0, 0]
        entries += [4, 1, 0, 0, 0, 0, 0xff, 1]
        count += 2
        return entries
    }
}

/// The one I/O interrupt controller.
enum InterruptController {
    static let address: UInt32 = 0xfec0_0000
    static let identifier: UInt8 = 0
    static let pinCount: UInt8 = 24
}
