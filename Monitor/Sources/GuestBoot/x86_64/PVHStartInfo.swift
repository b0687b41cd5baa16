/// `struct hvm_start_info`, version 1, with its module list and memory map behind it.
/// Source: Xen public/arch-x86/hvm/start_info.h.
struct PVHStartInfo {
    /// Where it will lie.
    var address: UInt64
    var commandLine: UInt64
    var initialRamDisks: InitialRamDisks
    var memoryMap: MemoryMap
    /// Zero for none.
    var acpiRootPointer: UInt64

    private static let sizeBytes: UInt64 = 56
    private static let moduleBytes: UInt64 = 32

    var bytes: [UInt8] {
        let hasModule = initialRamDisks.lengthBytes > 0
        let modules = address + Self.sizeBytes
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt32(0x336e_c578))
        bytes.append(littleEndian: UInt32(1))
        bytes.append(littleEndian: UInt32(0))
        bytes.append(littleEndian: UInt32(hasModule ? 1 : 0))
        bytes.append(littleEndian: hasModule ? modules : UInt64(0))
        bytes.append(littleEndian: commandLine)
        bytes.append(littleEndian: acpiRootPointer)
        bytes.append(littleEndian: modules + Self.moduleBytes)
        bytes.append(littleEndian: UInt32(truncatingIfNeeded: memoryMap.entries.count))
        bytes.append(littleEndian: UInt32(0))
        // One module, or its room.
        bytes.append(littleEndian: initialRamDisks.start)
        bytes.append(littleEndian: initialRamDisks.lengthBytes)
        bytes.append(littleEndian: UInt64(0))
        bytes.append(littleEndian: UInt64(0))
        for entry in memoryMap.entries {
            bytes.append(littleEndian: entry.start)
            bytes.append(littleEndian: entry.lengthBytes)
            bytes.append(littleEndian: entry.kind.rawValue)
            bytes.append(littleEndian: UInt32(0))
        }
        return bytes
    }
}
