/// Reads the settings that count, and nothing else: a guest needs no more of a floppy, and its agent is to stay small.
///
/// It finds what `SettingsVolume` finds, but reads only the sectors it needs, and does not tell what is wrong with a floppy
/// that it cannot read: the host has looked at it before. Damage that only a writer must fear, as slots that share a sector,
/// it does not see; their checksums are right or they do not count.
/// Trust: none in the bytes; memory is bounded by the tables and one slot, reads by the length of a slot.
public struct SettingsReader {
    private let read: (_ first: Int, _ count: Int) -> [UInt8]
    private let table: [UInt8]
    private let sectorsPerCluster: Int
    private let firstDataSector: Int
    private let clusterCount: Int
    private let root: [UInt8]

    /// The generation that counts; nil where there is none, or no floppy.
    /// - Parameters:
    ///   - now: seconds since 1970, UTC.
    ///   - read: the bytes of so many sectors from one on; fewer where they cannot be read.
    public static func current(
        atSeconds now: UInt64, reading read: @escaping (_ first: Int, _ count: Int) -> [UInt8]
    ) -> (header: GenerationHeader, body: [UInt8])? {
        // The second table makes up for a damaged first one.
        for copy in 0..<2 {
            guard let reader = SettingsReader(copy: copy, read), let slots = reader.slots() else { continue }
            return reader.newest(of: slots, atSeconds: now)
        }
        return nil
    }

    /// Source: as `FAT12Volume`.
    private init?(copy: Int, _ read: @escaping (_ first: Int, _ count: Int) -> [UInt8]) {
        let boot = read(0, 1)
        let sectorBytes = FAT12Volume.sectorBytes
        guard boot.count == sectorBytes, Self.word(boot, 510) == 0xaa55, Self.word(boot, 11) == sectorBytes else {
            return nil
        }
        let perCluster = Int(boot[13])
        let reserved = Self.word(boot, 14)
        let tables = Int(boot[16])
        let tableSectors = Self.word(boot, 22)
        let rootSectors = (Self.word(boot, 17) * 32 + sectorBytes - 1) / sectorBytes
        let rootStart = reserved + tables * tableSectors
        let sectors = Self.word(boot, 19)
        guard perCluster > 0, copy < tables, tables <= 2, rootStart + rootSectors < sectors else { return nil }
        sectorsPerCluster = perCluster
        firstDataSector = rootStart + rootSectors
        clusterCount = (sectors - firstDataSector) / perCluster
        table = read(reserved + copy * tableSectors, min(tableSectors, 12))
        root = read(rootStart, rootSectors)
        self.read = read
        guard clusterCount < 4085, table.count * 2 >= (clusterCount + 2) * 3 else { return nil }
    }

    /// The first cluster of each slot; nil unless both are there and in order.
    private func slots() -> [Int]? {
        var slots: [Int] = []
        for name in SlotLayout.slotNames {
            var offset = 0
            while offset + 32 <= root.count, root[offset] != 0 {
                // A file's attributes: neither label nor folder.
                if root[offset..<offset + 11].elementsEqual(name), root[offset + 11] & 0x18 == 0 {
                    guard
                        Self.word(root, offset + 28) | Self.word(root, offset + 30) << 16
                            == SlotLayout.slotSectors * FAT12Volume.sectorBytes
                    else { return nil }
                    slots.append(Self.word(root, offset + 26))
                    break
                }
                offset += 32
            }
        }
        guard slots.count == 2 else { return nil }
        for slot in slots where sectors(of: slot, SlotLayout.slotSectors).count < SlotLayout.slotSectors { return nil }
        return slots
    }

    private func newest(of slots: [Int], atSeconds now: UInt64) -> (header: GenerationHeader, body: [UInt8])? {
        var newest: (header: GenerationHeader, body: [UInt8])?
        for slot in slots {
            guard let header = GenerationHeader(content(of: slot, 1)), header.isUsable(atSeconds: now),
                header.number > newest?.header.number ?? 0
            else { continue }
            let sectors = 1 + (header.bodyBytes + FAT12Volume.sectorBytes - 1) / FAT12Volume.sectorBytes
            let body = [UInt8](content(of: slot, sectors).dropFirst(FAT12Volume.sectorBytes).prefix(header.bodyBytes))
            guard body.count == header.bodyBytes, checksum(body) == header.bodyChecksum else { continue }
            newest = (header, body)
        }
        return newest
    }

    /// The first sectors of a file.
    private func content(of first: Int, _ count: Int) -> [UInt8] {
        var content: [UInt8] = []
        for sector in sectors(of: first, count) { content += read(sector, 1) }
        return content
    }

    /// Fewer than `count` where the chain of clusters leaves the volume. One that runs in a circle is never at its end; what
    /// is read there has another checksum.
    private func sectors(of first: Int, _ count: Int) -> [Int] {
        var sectors: [Int] = []
        var cluster = first
        while sectors.count < count, cluster >= 2, cluster < clusterCount + 2 {
            for index in 0..<min(sectorsPerCluster, count - sectors.count) {
                sectors.append(firstDataSector + (cluster - 2) * sectorsPerCluster + index)
            }
            let pair = Self.word(table, cluster + cluster / 2)
            cluster = cluster & 1 == 0 ? pair & 0xfff : pair >> 4
        }
        return sectors
    }

    private static func word(_ bytes: [UInt8], _ offset: Int) -> Int {
        offset + 1 < bytes.count ? Int(bytes[offset]) | Int(bytes[offset + 1]) << 8 : 0
    }
}
