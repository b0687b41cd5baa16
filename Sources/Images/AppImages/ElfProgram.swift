/// What an ELF file says about how it is to be loaded: who loads it, and which libraries it names.
///
/// Trust: the file is somebody's. Every offset and length is checked against what is there; nothing in it is run.
/// Source: System V ABI, chapters 4 and 5; the GNU extensions of elf.h.
public struct ElfProgram: Equatable, Sendable {
    /// Source: elf.h, `e_machine`: 62 is x86-64, 183 is Arm's 64-bit architecture.
    public let machine: UInt16
    /// The program that the kernel starts in its place, which loads the libraries.
    public let interpreter: String?
    /// Whether it can be started, and is not a library alone.
    public let isExecutable: Bool
    /// What it calls itself.
    public let name: String?
    /// The libraries that it needs, in their order.
    public let needed: [String]
    /// Folders in which its libraries, and those of its libraries, are looked for. Of no meaning beside `runPath`.
    public let inheritedPath: [String]
    /// Folders in which its own libraries are looked for.
    public let runPath: [String]
    /// Whether the usual folders are not to be looked in.
    public let ignoresUsualFolders: Bool
    /// The names that it defines or calls, each ended by a zero byte.
    private let nameTable: [UInt8]

    static let magic: [UInt8] = [0x7f, 0x45, 0x4c, 0x46]
    private static let headerBytes = 64
    private static let segmentBytes = 56
    private static let mostSegments = 4096
    private static let mostDynamicBytes: UInt64 = 1 << 20
    private static let mostNameBytes: UInt64 = 64 << 20
    private static let mostInterpreterBytes: UInt64 = 4096
    private static let mostLibraries = 4096

    /// Whether some name in its table is this one.
    ///
    /// It may be one that it defines, or the end of a longer one: true says that the name may be used, false that it is not.
    public func mentions(_ name: String) -> Bool {
        let wanted = Array(name.utf8) + [0]
        guard let first = wanted.first, nameTable.count >= wanted.count else { return false }
        var index = 0
        while let found = nameTable[index...].firstIndex(of: first) {
            if nameTable[found...].starts(with: wanted), found == 0 || nameTable[found - 1] == 0 { return true }
            index = found + 1
        }
        return false
    }

    /// - Parameter read: so many bytes of the file from there, fewer at its end.
    public init<Failure: Error>(
        _ read: (_ offset: UInt64, _ count: Int) throws(Failure) -> [UInt8]
    ) throws {
        let header = Fields(try read(0, Self.headerBytes))
        guard header.bytes.starts(with: Self.magic) else { throw ElfError.notElf }
        guard header.bytes.count == Self.headerBytes else { throw ElfError.truncated("header") }
        guard header.bytes[4] == 2 else { throw ElfError.notSupported("it is a 32-bit program") }
        guard header.bytes[5] == 1 else { throw ElfError.notSupported("its numbers begin with the highest byte") }
        let type = header.number(16, 2)
        machine = UInt16(truncatingIfNeeded: header.number(18, 2))
        let segmentCount = Int(header.number(56, 2))
        guard segmentCount <= Self.mostSegments else { throw ElfError.invalid("it has \(segmentCount) segments") }
        guard segmentCount == 0 || header.number(54, 2) == UInt64(Self.segmentBytes) else {
            throw ElfError.invalid("its segments have another size")
        }
        let table = Fields(try read(header.number(32, 8), segmentCount * Self.segmentBytes))
        guard table.bytes.count == segmentCount * Self.segmentBytes else { throw ElfError.truncated("segments") }
        let segments = (0..<segmentCount).map { Segment(table, at: $0 * Self.segmentBytes) }

        /// Exactly so many bytes.
        func bytes(_ offset: UInt64, _ count: UInt64, _ most: UInt64, _ what: String) throws -> [UInt8] {
            guard count <= most else { throw ElfError.invalid("its \(what) has \(count) bytes") }
            let found = try read(offset, Int(count))
            guard found.count == Int(count) else { throw ElfError.truncated(what) }
            return found
        }

        if let segment = segments.first(where: { $0.type == Segment.interpreter }) {
            let text = try bytes(segment.offset, segment.fileBytes, Self.mostInterpreterBytes, "interpreter's path")
            guard let path = String(validating: text.prefix { $0 != 0 }, as: UTF8.self), path.hasPrefix("/") else {
                throw ElfError.invalid("its interpreter's path is none")
            }
            interpreter = path
        } else {
            interpreter = nil
        }

        var entries: [(tag: UInt64, value: UInt64)] = []
        if let segment = segments.first(where: { $0.type == Segment.dynamic }) {
            let dynamic = Fields(try bytes(segment.offset, segment.fileBytes, Self.mostDynamicBytes, "dynamic section"))
            for offset in stride(from: 0, to: dynamic.bytes.count / 16 * 16, by: 16) {
                let tag = dynamic.number(offset, 8)
                if tag == Tag.end { break }
                entries.append((tag, dynamic.number(offset + 8, 8)))
            }
        }
        func value(_ tag: UInt64) -> UInt64? { entries.first { $0.tag == tag }?.value }
        var names: [UInt8] = []
        if let address = value(Tag.names) {
            guard let offset = segments.lazy.compactMap({ $0.fileOffset(of: address) }).first else {
                throw ElfError.invalid("its names lie in no segment")
            }
            names = try bytes(offset, value(Tag.nameBytes) ?? 0, Self.mostNameBytes, "table of names")
        }
        func text(_ offset: UInt64) throws -> String {
            guard let start = Int(exactly: offset), start < names.count,
                let end = names[start...].firstIndex(of: 0),
                let text = String(validating: names[start..<end], as: UTF8.self)
            else { throw ElfError.invalid("a name in its dynamic section is none") }
            return text
        }
        func folders(_ tag: UInt64) throws -> [String] {
            try value(tag).map { try text($0).split(separator: ":").map(String.init) } ?? []
        }
        let needed = try entries.filter { $0.tag == Tag.needed }.map { try text($0.value) }
        guard needed.count <= Self.mostLibraries, !needed.contains(where: \.isEmpty) else {
            throw ElfError.invalid("it names \(needed.count) libraries, or one without a name")
        }
        self.needed = needed
        name = try value(Tag.ownName).map { try text($0) }
        runPath = try folders(Tag.runPath)
        inheritedPath = try folders(Tag.inheritedPath)
        let flags = value(Tag.flags1) ?? 0
        ignoresUsualFolders = flags & 0x800 != 0  // DF_1_NODEFLIB
        let isPositionIndependentProgram = flags & 0x0800_0000 != 0  // DF_1_PIE
        switch type {
        case 2: isExecutable = true  // ET_EXEC
        case 3: isExecutable = interpreter != nil || isPositionIndependentProgram  // ET_DYN
        default: throw ElfError.notSupported("it is neither a program nor a library, but an object or a core file")
        }
        nameTable = names
    }

    private enum Tag {
        static let end: UInt64 = 0
        static let needed: UInt64 = 1
        static let names: UInt64 = 5
        static let nameBytes: UInt64 = 10
        static let ownName: UInt64 = 14
        static let inheritedPath: UInt64 = 15
        static let runPath: UInt64 = 29
        static let flags1: UInt64 = 0x6fff_fffb
    }

    private struct Segment {
        static let load: UInt64 = 1
        static let dynamic: UInt64 = 2
        static let interpreter: UInt64 = 3
        let type: UInt64
        let offset: UInt64
        let address: UInt64
        let fileBytes: UInt64

        init(_ table: Fields, at start: Int) {
            type = table.number(start, 4)
            offset = table.number(start + 8, 8)
            address = table.number(start + 16, 8)
            fileBytes = table.number(start + 32, 8)
        }

        /// Where in the file lies what is loaded at that address; nil when this segment does not bring it.
        func fileOffset(of wanted: UInt64) -> UInt64? {
            guard type == Self.load, wanted >= address, wanted - address < fileBytes else { return nil }
            let (sum, overflow) = offset.addingReportingOverflow(wanted - address)
            return overflow ? nil : sum
        }
    }

    /// Little-endian numbers at offsets that the caller has checked.
    private struct Fields {
        let bytes: [UInt8]
        init(_ bytes: [UInt8]) { self.bytes = bytes }

        func number(_ offset: Int, _ count: Int) -> UInt64 {
            guard offset >= 0, offset + count <= bytes.count else { return 0 }
            return bytes[offset..<(offset + count)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
    }
}

/// Why a file is no program that can be understood.
public enum ElfError: Error, Equatable, CustomStringConvertible {
    case notElf
    case truncated(String)
    case invalid(String)
    case notSupported(String)

    public var description: String {
        switch self {
        case .notElf: "it is no ELF file"
        case .truncated(let what): "it ends before its \(what) does"
        case .invalid(let what), .notSupported(let what): what
        }
    }
}
