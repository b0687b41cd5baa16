import GuestMemory

/// Linux's compressed image for x86: boot sector and setup code, which are not used, then code that unpacks the kernel.
///
/// Source: Linux Documentation/arch/x86/boot.rst; offsets are those of the file and of the zero page alike.
struct BzImage {
    /// The setup header as the file has it, from 0x1f1 on.
    let setupHeader: [UInt8]
    /// Where the protected-mode code begins in the file, and its length.
    let codeOffset: UInt64
    let codeBytes: UInt64
    /// Memory needed from the load address on until the kernel looks after itself.
    let initialBytes: UInt64
    let alignment: UInt64
    let preferredAddress: UInt64
    let isRelocatable: Bool
    let commandLineMaximumBytes: Int
    let initialRamDiskMaximumAddress: UInt64

    private static let headerStart = 0x1f1
    /// The 64-bit entry lies this far behind the load address.
    private static let entryOffset: UInt64 = 0x200

    static func isRecognized(_ head: LittleEndianFields) -> Bool {
        head.has([0x55, 0xaa], at: 0x1fe) && head.has(Array("HdrS".utf8), at: 0x202)
    }

    /// Reads and checks the setup header.
    init(_ file: KernelFile) throws(BootError) {
        let head = file.head
        guard let version = head.value(UInt16.self, at: 0x206), let loadFlags = head.value(UInt8.self, at: 0x211),
            let sectors = head.value(UInt8.self, at: 0x1f1), let jump = head.value(UInt8.self, at: 0x201)
        else { throw .kernelTruncated(.header, neededBytes: 0x268, fileBytes: file.sizeBytes) }
        // 2.12 brought the 64-bit entry; a kernel that is older has none whatever its other fields say.
        if version < 0x20c { throw .kernelMalformed(.protocolTooOld(version: version)) }
        if loadFlags & 1 == 0 { throw .kernelMalformed(.loadsLow) }
        guard let units = head.value(UInt32.self, at: 0x1f4), let maximumAddress = head.value(UInt32.self, at: 0x22c),
            let alignment = head.value(UInt32.self, at: 0x230), let relocatable = head.value(UInt8.self, at: 0x234),
            let moreFlags = head.value(UInt16.self, at: 0x236), let commandLine = head.value(UInt32.self, at: 0x238),
            let preferred = head.value(UInt64.self, at: 0x258), let initialBytes = head.value(UInt32.self, at: 0x260)
        else { throw .kernelTruncated(.header, neededBytes: 0x268, fileBytes: file.sizeBytes) }
        if moreFlags & 1 == 0 { throw .kernelFor32Bit(.bzImage) }
        if alignment.nonzeroBitCount != 1 { throw .kernelMalformed(.alignment(alignment)) }

        // No count of sectors means four; the boot sector is one more.
        let setupBytes = (UInt64(sectors == 0 ? 4 : sectors) + 1) * 512
        try file.check(.setupCode, offset: 0, lengthBytes: setupBytes)
        // The length is rounded up to 16 bytes, the file need not be.
        let unitBytes = UInt64(units) * 16
        guard unitBytes > Self.entryOffset, UInt64(initialBytes) >= unitBytes else { throw .kernelMalformed(.sizes) }
        try file.check(.protectedModeCode, offset: setupBytes, lengthBytes: unitBytes - 15)

        setupHeader = Self.setupHeader(head, jump: jump)
        codeOffset = setupBytes
        codeBytes = min(unitBytes, file.sizeBytes - setupBytes)
        self.initialBytes = UInt64(initialBytes)
        self.alignment = max(UInt64(alignment), GuestMemory.pageBytes)
        preferredAddress = preferred
        isRelocatable = relocatable != 0
        commandLineMaximumBytes = Int(min(commandLine, UInt32(LowMemoryLayout.commandLineMaximumBytes - 1)))
        initialRamDiskMaximumAddress = UInt64(maximumAddress)
    }

    /// The header ends where the jump over it lands; the zero page has room up to 0x290.
    private static func setupHeader(_ head: LittleEndianFields, jump: UInt8) -> [UInt8] {
        let end = min(0x202 + Int(jump), 0x290, head.count)
        return Array(head.bytes[headerStart..<max(end, 0x202)])
    }

    /// Where the kernel wants to lie; for a relocatable one else as low as its alignment allows.
    private func loadAddress(lowBytes: UInt64) throws(BootError) -> UInt64 {
        let (end, overflow) = preferredAddress.addingReportingOverflow(initialBytes)
        if preferredAddress >= LowMemoryLayout.highMemory, !overflow, end <= lowBytes,
            !isRelocatable || preferredAddress % alignment == 0
        {
            return preferredAddress
        }
        guard isRelocatable else {
            guard preferredAddress >= LowMemoryLayout.highMemory, !overflow else {
                throw .kernelMalformed(.loadAddress(preferredAddress))
            }
            throw .kernelTooLarge(neededBytes: end, memoryBytes: lowBytes)
        }
        // Both at most 2^31 and a power of two: no sum overflows.
        let lowest = max(alignment, LowMemoryLayout.highMemory)
        guard lowest + initialBytes <= lowBytes else {
            throw .kernelTooLarge(neededBytes: lowest + initialBytes, memoryBytes: lowBytes)
        }
        return lowest
    }

    /// Puts the code into guest memory.
    func load(_ file: KernelFile, memory: GuestMemory, lowBytes: UInt64) throws(BootError) -> LoadedKernel {
        let address = try loadAddress(lowBytes: lowBytes)
        try file.load(.protectedModeCode, offset: codeOffset, lengthBytes: codeBytes, at: address, memory: memory)
        return LoadedKernel(
            format: .bzImage, start: address, end: address + initialBytes, entry: address + Self.entryOffset,
            pvhEntry: nil, isLinux: true, setupHeader: setupHeader, commandLineMaximumBytes: commandLineMaximumBytes,
            initialRamDiskMaximumAddress: initialRamDiskMaximumAddress)
    }
}
