/// A FAT12 volume of sectors of 512 bytes, with its files in the root folder. Long names and folders are passed over.
///
/// Source: Microsoft, *FAT: General Overview of On-Disk Format* 1.03, §§3–6.
/// Trust: none in the bytes. What is out of bounds makes a `FloppyError`; memory is bounded by the volume's tables, 200 KB.
public struct FAT12Volume: Sendable {
    public static let sectorBytes = 512

    /// One file of the root folder.
    public struct File: Equatable, Sendable {
        /// Eight and three characters, padded by spaces, upper case.
        public let name: [UInt8]
        public let sizeBytes: Int
        let firstCluster: Int
    }

    /// The volume's label as its root folder says it, eleven characters padded by spaces; empty when it has none.
    public let label: [UInt8]
    public let files: [File]

    private let sectorsPerCluster: Int
    private let firstDataSector: Int
    private let clusterCount: Int
    private let table: [UInt8]

    /// Reads the tables of a volume.
    /// - Parameter copy: which of the allocation tables is believed; a volume has one or two.
    public init<Storage: SectorStorage & ~Copyable>(_ storage: borrowing Storage, copy: Int = 0) throws(FloppyError) {
        let boot = try storage.read(1, from: 0)
        guard boot.count == Self.sectorBytes, boot[510] == 0x55, boot[511] == 0xaa else {
            throw .notAVolume(.signature)
        }
        guard Self.word(boot, 11) == Self.sectorBytes else { throw .notAVolume(.sectorSize) }
        let perCluster = Int(boot[13])
        let reserved = Self.word(boot, 14)
        let tables = Int(boot[16])
        let rootEntries = Self.word(boot, 17)
        let sectors = Self.word(boot, 19)
        let tableSectors = Self.word(boot, 22)
        let rootSectors = (rootEntries * 32 + Self.sectorBytes - 1) / Self.sectorBytes
        let firstData = reserved + tables * tableSectors + rootSectors
        guard perCluster > 0, perCluster & (perCluster - 1) == 0, reserved > 0, (1...2).contains(tables), copy >= 0,
            copy < tables, rootEntries > 0, tableSectors > 0, firstData < sectors
        else { throw .notAVolume(.geometry) }
        guard sectors <= storage.sectorCount else { throw .notAVolume(.tooShort) }
        let clusters = (sectors - firstData) / perCluster
        // Source: §3.5: fewer than 4085 clusters, and nothing else, make a volume FAT12.
        guard clusters > 0, clusters < 4085 else { throw .notAVolume(.notFAT12) }
        guard tableSectors * Self.sectorBytes * 2 >= (clusters + 2) * 3 else { throw .notAVolume(.geometry) }
        sectorsPerCluster = perCluster
        firstDataSector = firstData
        clusterCount = clusters
        table = try storage.read(min(tableSectors, 12), from: reserved + copy * tableSectors)
        let root = try storage.read(rootSectors, from: reserved + tables * tableSectors)
        (label, files) = Self.entries(root)
    }

    public func file(_ name: [UInt8]) -> File? { files.first { $0.name == name } }

    /// The sectors of a file in their order, as many as its size needs.
    /// - Throws: `noSlots` when its chain ends early, leaves the volume or runs in a circle.
    public func sectors(of file: File) throws(FloppyError) -> [Int] {
        let wanted = (file.sizeBytes + Self.sectorBytes - 1) / Self.sectorBytes
        guard wanted <= clusterCount * sectorsPerCluster else { throw .noSlots }
        var sectors: [Int] = []
        var seen = [Bool](repeating: false, count: clusterCount + 2)
        var cluster = file.firstCluster
        while sectors.count < wanted {
            guard cluster >= 2, cluster < clusterCount + 2, !seen[cluster] else { throw .noSlots }
            seen[cluster] = true
            let first = firstDataSector + (cluster - 2) * sectorsPerCluster
            for sector in first..<first + sectorsPerCluster where sectors.count < wanted { sectors.append(sector) }
            cluster = next(after: cluster)
        }
        return sectors
    }

    /// Twelve bits each, two in three bytes. Source: §4.1.
    private func next(after cluster: Int) -> Int {
        let offset = cluster + cluster / 2
        guard offset + 1 < table.count else { return 0 }
        let pair = Int(table[offset]) | Int(table[offset + 1]) << 8
        return cluster & 1 == 0 ? pair & 0xfff : pair >> 4
    }

    private static func word(_ bytes: [UInt8], _ offset: Int) -> Int {
        Int(bytes[offset]) | Int(bytes[offset + 1]) << 8
    }

    /// Source: §6: name 11, attributes at 11, first cluster at 26, size at 28.
    private static func entries(_ root: [UInt8]) -> (label: [UInt8], files: [File]) {
        var label: [UInt8] = []
        var files: [File] = []
        var offset = 0
        while offset + 32 <= root.count, root[offset] != 0 {
            let start = offset
            offset += 32
            let attributes = root[start + 11]
            // Removed; and parts of long names, which have all four lower attributes.
            if root[start] == 0xe5 || attributes & 0x0f == 0x0f { continue }
            let name = [UInt8](root[start..<start + 11])
            if attributes & 0x08 != 0 {
                label = name
            } else if attributes & 0x10 == 0 {
                files.append(
                    File(
                        name: name, sizeBytes: word(root, start + 28) | word(root, start + 30) << 16,
                        firstCluster: word(root, start + 26)))
            }
        }
        return (label, files)
    }
}
