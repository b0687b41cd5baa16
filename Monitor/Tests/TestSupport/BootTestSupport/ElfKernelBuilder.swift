/// Makes ELF kernel images by hand, right ones and wrong ones.
public struct ElfKernelBuilder: Sendable {
    public struct Segment: Sendable {
        public var type: UInt32 = 1
        public var address: UInt64
        public var virtualAddress: UInt64
        public var contents: [UInt8]
        public var memoryBytes: UInt64
        /// Where the contents begin in the file is made a multiple of this.
        public var fileAlignment = 16
        /// PF_X 1, PF_W 2, PF_R 4.
        public var flags: UInt32

        public init(
            type: UInt32 = 1, address: UInt64, virtualAddress: UInt64? = nil, contents: [UInt8],
            memoryBytes: UInt64? = nil, fileAlignment: Int = 16, flags: UInt32 = 7
        ) {
            self.type = type
            self.flags = flags
            self.address = address
            self.virtualAddress = virtualAddress ?? address
            self.contents = contents
            self.memoryBytes = memoryBytes ?? UInt64(contents.count)
            self.fileAlignment = fileAlignment
        }
    }

    public var elfClass: UInt8 = 2
    public var byteOrder: UInt8 = 1
    public var type: UInt16 = 2
    public var machine: UInt16 = 62
    public var entry: UInt64
    public var programHeaderBytes: UInt16 = 56
    public var segments: [Segment]
    /// How many places in its code the kernel says that it may rewrite; no section table without any.
    public var alternativesCount: UInt64?

    public init(entry: UInt64 = 0x10_0000, segments: [Segment]) {
        self.entry = entry
        self.segments = segments
    }

    /// A kernel that consists of code alone, loaded and entered at 1 MiB.
    public init(code: [UInt8]) {
        self.init(entry: 0x10_0000, segments: [Segment(address: 0x10_0000, contents: code)])
    }

    /// Adds a note.
    public mutating func addNote(name: String, type: UInt32, contents: [UInt8]) {
        var note: [UInt8] = []
        let name = Array(name.utf8) + [0]
        note.append(little: UInt32(name.count))
        note.append(little: UInt32(contents.count))
        note.append(little: type)
        for part in [name, contents] {
            note += part
            note += [UInt8](repeating: 0, count: (4 - part.count % 4) % 4)
        }
        segments.append(Segment(type: 4, address: 0, contents: note))
    }

    /// Adds the note that names a 32-bit entry.
    public mutating func addPVHEntry(_ address: UInt32) {
        var contents: [UInt8] = []
        contents.append(little: address)
        addNote(name: "Xen", type: 18, contents: contents)
    }

    public var bytes: [UInt8] {
        var headers: [UInt8] = []
        var contents: [UInt8] = []
        let start = 64 + segments.count * 56
        for segment in segments {
            while (start + contents.count) % segment.fileAlignment != 0 { contents.append(0) }
            headers.append(little: segment.type)
            headers.append(little: segment.flags)
            headers.append(little: UInt64(start + contents.count))
            headers.append(little: segment.virtualAddress)
            headers.append(little: segment.address)
            headers.append(little: UInt64(segment.contents.count))
            headers.append(little: segment.memoryBytes)
            headers.append(little: UInt64(segment.fileAlignment))
            contents += segment.contents
        }
        var bytes: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, elfClass, byteOrder, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        bytes.append(little: type)
        bytes.append(little: machine)
        bytes.append(little: UInt32(1))
        bytes.append(little: entry)
        bytes.append(little: UInt64(64))
        bytes.append(little: UInt64(0))
        bytes.append(little: UInt32(0))
        bytes.append(little: UInt16(64))
        bytes.append(little: programHeaderBytes)
        bytes.append(little: UInt16(segments.count))
        bytes.append(little: UInt16(64))
        bytes.append(little: UInt16(0))
        bytes.append(little: UInt16(0))
        bytes += headers + contents
        if let alternativesCount { Self.appendSections(alternativesCount, to: &bytes) }
        return bytes
    }

    /// Two sections: the names of both, and the alternatives, of which only the length is told.
    private static func appendSections(_ alternativesCount: UInt64, to bytes: inout [UInt8]) {
        let names = Array(".shstrtab\0.altinstructions\0".utf8)
        let namesOffset = UInt64(bytes.count)
        bytes += names
        bytes.put(UInt64(bytes.count), at: 40)
        bytes.put(UInt16(2), at: 60)
        for (name, offset, length) in [(0, namesOffset, UInt64(names.count)), (10, 0, alternativesCount * 14)] {
            var header: [UInt8] = []
            header.append(little: UInt32(name))
            header += [UInt8](repeating: 0, count: 20)
            header.append(little: offset)
            header.append(little: length)
            bytes += header + [UInt8](repeating: 0, count: 64 - header.count)
        }
    }
}

extension [UInt8] {
    /// Appends an integer's bytes, the least one first.
    public mutating func append<T: FixedWidthInteger & UnsignedInteger>(little value: T) {
        for index in 0..<T.bitWidth / 8 { append(UInt8(truncatingIfNeeded: value >> T(index * 8))) }
    }

    /// Overwrites bytes by an integer's.
    public mutating func put<T: FixedWidthInteger & UnsignedInteger>(_ value: T, at offset: Int) {
        for index in 0..<T.bitWidth / 8 { self[offset + index] = UInt8(truncatingIfNeeded: value >> T(index * 8)) }
    }

    /// An integer out of the bytes.
    public func field<T: FixedWidthInteger & UnsignedInteger>(_ type: T.Type, at offset: Int) -> T {
        var value: T = 0
        for index in 0..<T.bitWidth / 8 { value |= T(self[offset + index]) << T(index * 8) }
        return value
    }
}
