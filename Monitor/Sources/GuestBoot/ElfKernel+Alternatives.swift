/// Linux fits its code to the processor when it starts: each entry of the section `.altinstructions` names a place that is
/// rewritten. In a kernel with many entries hardly a page of code stays as it is in the file.
/// Source: Linux, arch/x86/include/asm/alternative.h (`struct alt_instr`); System V ABI, chapter 4 "Sections".
extension ElfKernel {
    private static let sectionHeaderBytes = 64
    private static let sectionMaximumCount = 256
    private static let namesMaximumBytes: UInt64 = 64 << 10
    /// Between 12 and 14, by the kernel's version.
    private static let alternativeBytes: UInt64 = 14

    /// How many places of its code the kernel may rewrite; zero when the file does not tell, as one without sections.
    static func alternativesCount(_ file: KernelFile) -> UInt64 {
        guard let table = file.head.value(UInt64.self, at: 40), table > 0,
            file.head.value(UInt16.self, at: 58) == UInt16(sectionHeaderBytes),
            let count = file.head.value(UInt16.self, at: 60).map(Int.init), count <= sectionMaximumCount,
            let namesIndex = file.head.value(UInt16.self, at: 62).map(Int.init), namesIndex < count,
            let headers = sectionBytes(file, table, UInt64(count * sectionHeaderBytes)),
            let namesOffset = headers.value(UInt64.self, at: namesIndex * sectionHeaderBytes + 24),
            let namesBytes = headers.value(UInt64.self, at: namesIndex * sectionHeaderBytes + 32),
            namesBytes <= namesMaximumBytes, let names = sectionBytes(file, namesOffset, namesBytes)
        else { return 0 }
        let wanted = Array(".altinstructions\0".utf8)
        for index in 0..<count {
            let base = index * sectionHeaderBytes
            guard let name = headers.value(UInt32.self, at: base), names.has(wanted, at: Int(name)) else { continue }
            return (headers.value(UInt64.self, at: base + 32) ?? 0) / alternativeBytes
        }
        return 0
    }

    /// What is wrong with the section table is no reason to refuse the kernel: nothing is loaded by it.
    private static func sectionBytes(_ file: KernelFile, _ offset: UInt64, _ bytes: UInt64) -> LittleEndianFields? {
        try? file.bytes(.header, offset: offset, count: Int(bytes))
    }
}
