/// What an ELF kernel's notes say.
///
/// Notes are optional: ones that make no sense are passed over, and the kernel counts as having none.
/// Source: System V ABI, chapter 5 "Note Section".
struct ElfNotes: Equatable {
    /// The 32-bit physical entry. Source: Xen public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY (18).
    private(set) var pvhEntry: UInt64?
    /// Linux marks its images by notes of its own since 4.20, and names itself to Xen.
    private(set) var isLinux = false

    private static let maximumBytes: UInt64 = 64 << 10
    private static let physical32Entry: UInt32 = 18
    private static let guestSystem: UInt32 = 6

    /// Reads the notes of one PT_NOTE.
    mutating func add(from file: KernelFile, _ segment: ElfKernel.Segment) throws(BootError) {
        try file.check(.segment(segment.index), offset: segment.offset, lengthBytes: segment.fileBytes)
        let count = Int(min(segment.fileBytes, Self.maximumBytes))
        add(try file.bytes(.segment(segment.index), offset: segment.offset, count: count))
    }

    mutating func add(_ notes: LittleEndianFields) {
        var offset = 0
        while let nameBytes = notes.value(UInt32.self, at: offset),
            let contentBytes = notes.value(UInt32.self, at: offset + 4),
            let type = notes.value(UInt32.self, at: offset + 8)
        {
            // No sum here overflows: both lengths are below 2^32 and the offset is within the bytes.
            let name = offset + 12
            let content = name + Self.padded(nameBytes)
            let next = content + Self.padded(contentBytes)
            guard content + Int(contentBytes) <= notes.count else { return }
            if notes.has(Self.xen, at: name), nameBytes == 4 {
                if type == Self.physical32Entry { pvhEntry = Self.entry(notes, at: content, contentBytes) ?? pvhEntry }
                if type == Self.guestSystem, notes.has(Array("linux".utf8), at: content) { isLinux = true }
            } else if notes.has(Self.linux, at: name), nameBytes == 6 {
                isLinux = true
            }
            offset = next
        }
    }

    private static func entry(_ notes: LittleEndianFields, at offset: Int, _ bytes: UInt32) -> UInt64? {
        switch bytes {
        case 4: notes.value(UInt32.self, at: offset).map { UInt64($0) }
        case 8: notes.value(UInt64.self, at: offset)
        default: nil
        }
    }

    private static func padded(_ bytes: UInt32) -> Int { (Int(bytes) + 3) & ~3 }

    private static var xen: [UInt8] { Array("Xen\0".utf8) }
    private static var linux: [UInt8] { Array("Linux\0".utf8) }
}
