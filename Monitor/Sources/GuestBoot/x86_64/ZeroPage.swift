/// `struct boot_params`: the page by which Linux learns of everything at its 64-bit entry.
/// Source: Linux Documentation/arch/x86/zero-page.rst and boot.rst.
struct ZeroPage {
    /// From offset 0x1f1 on, as the kernel file has it.
    var setupHeader: [UInt8]
    var commandLine: UInt64
    var commandLineMaximumBytes: Int
    var initialRamDisks: InitialRamDisks
    var memoryMap: MemoryMap
    /// Zero for none.
    var acpiRootPointer: UInt64
    /// A list of `setup_data`; zero for none.
    var setupData: UInt64

    static let sizeBytes = 4096
    /// Linux's COMMAND_LINE_SIZE for x86, less the zero byte.
    static let commandLineUsualMaximumBytes = 2047
    /// What Linux's own bzImages say.
    static let initialRamDiskUsualMaximumAddress: UInt64 = 0x7fff_ffff

    private static let headerStart = 0x1f1

    /// What a bzImage would have said, for an ELF file that says nothing.
    static var setupHeaderForElf: [UInt8] {
        var page = [UInt8](repeating: 0, count: 0x268)
        page.store(littleEndian: UInt16(0xaa55), at: 0x1fe)
        page.store(littleEndian: UInt32(0x5372_6448), at: 0x202)
        // Protocol 2.15.
        page.store(littleEndian: UInt16(0x20f), at: 0x206)
        // Loaded high.
        page[0x211] = 1
        page.store(littleEndian: UInt32(initialRamDiskUsualMaximumAddress), at: 0x22c)
        page.store(littleEndian: UInt32(0x100_0000), at: 0x230)
        // 64-bit entry, may be loaded above 4 GiB.
        page.store(littleEndian: UInt16(3), at: 0x236)
        page.store(littleEndian: UInt32(commandLineUsualMaximumBytes), at: 0x238)
        return Array(page[headerStart...])
    }

    /// The page itself.
    var bytes: [UInt8] {
        var page = [UInt8](repeating: 0, count: Self.sizeBytes)
        for index in 0..<min(setupHeader.count, 0x290 - Self.headerStart) {
            page[Self.headerStart + index] = setupHeader[index]
        }
        page.store(littleEndian: acpiRootPointer, at: 0x070)
        // A boot loader without a number of its own.
        page[0x210] = 0xff
        page.store(littleEndian: UInt32(truncatingIfNeeded: initialRamDisks.start), at: 0x218)
        page.store(littleEndian: UInt32(truncatingIfNeeded: initialRamDisks.lengthBytes), at: 0x21c)
        page.store(littleEndian: UInt32(truncatingIfNeeded: initialRamDisks.start >> 32), at: 0x0c0)
        page.store(littleEndian: UInt32(truncatingIfNeeded: initialRamDisks.lengthBytes >> 32), at: 0x0c4)
        page.store(littleEndian: UInt32(truncatingIfNeeded: commandLine), at: 0x228)
        page.store(littleEndian: UInt32(truncatingIfNeeded: commandLine >> 32), at: 0x0c8)
        page.store(littleEndian: UInt32(truncatingIfNeeded: commandLineMaximumBytes), at: 0x238)
        page.store(littleEndian: setupData, at: 0x250)

        page[0x1e8] = UInt8(truncatingIfNeeded: memoryMap.entries.count)
        for (index, entry) in memoryMap.entries.enumerated() {
            let offset = 0x2d0 + index * 20
            page.store(littleEndian: entry.start, at: offset)
            page.store(littleEndian: entry.lengthBytes, at: offset + 8)
            page.store(littleEndian: entry.kind.rawValue, at: offset + 16)
        }
        return page
    }

    /// A `setup_data` of random bytes (SETUP_RNG_SEED), the last of its list.
    static func randomSeed(_ seed: [UInt8]) -> [UInt8] {
        let seed = seed.prefix(LowMemoryLayout.randomSeedMaximumBytes)
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt64(0))
        bytes.append(littleEndian: UInt32(9))
        bytes.append(littleEndian: UInt32(seed.count))
        return bytes + seed
    }
}
