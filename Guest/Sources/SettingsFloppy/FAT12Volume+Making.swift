extension FAT12Volume {
    /// A 3.5-inch floppy of high density: 80 tracks, 2 sides, 18 sectors.
    public static let floppySectors = 2880
    static let tableSectors = 9
    static let rootEntries = 224
    static let firstFloppyDataSector = 1 + 2 * tableSectors + rootEntries * 32 / sectorBytes

    /// A new floppy with these files, each in one piece, in this order. The same bytes each time.
    ///
    /// - Parameters:
    ///   - label: eleven characters, padded by spaces.
    ///   - files: names of eleven characters, padded by spaces.
    /// - Throws: `tooLong` when the files do not fit, `invalidName` for names of another length.
    public static func floppy(
        label: [UInt8], serial: UInt32, files: [(name: [UInt8], content: [UInt8])]
    ) throws(FloppyError) -> [UInt8] {
        let room = floppySectors - firstFloppyDataSector
        guard label.count == 11, files.count < rootEntries - 1 else { throw .invalidName }
        var boot = bootSector(label: label, serial: serial)
        // Media byte and the mark that ends chains. Source: §4.1.
        var table: [UInt8] = [0xf0, 0xff, 0xff] + [UInt8](repeating: 0, count: tableSectors * sectorBytes - 3)
        var root = entry(name: label, attributes: 0x08, firstCluster: 0, sizeBytes: 0)
        var data: [UInt8] = []
        var cluster = 2
        for file in files {
            guard file.name.count == 11 else { throw .invalidName }
            let count = (file.content.count + sectorBytes - 1) / sectorBytes
            guard cluster - 2 + count <= room else { throw .tooLong(maximumBytes: room * sectorBytes) }
            root += entry(
                name: file.name, attributes: 0x20, firstCluster: count == 0 ? 0 : cluster,
                sizeBytes: file.content.count)
            for index in 0..<count {
                let next = index + 1 < count ? cluster + 1 : 0xfff
                let offset = cluster + cluster / 2
                let shifted = cluster & 1 == 0 ? next : next << 4
                table[offset] |= UInt8(truncatingIfNeeded: shifted)
                table[offset + 1] |= UInt8(truncatingIfNeeded: shifted >> 8)
                cluster += 1
            }
            data += file.content
            data += [UInt8](repeating: 0, count: count * sectorBytes - file.content.count)
        }
        root += [UInt8](repeating: 0, count: rootEntries * 32 - root.count)
        boot += table
        boot += table
        boot += root
        boot += data
        boot += [UInt8](repeating: 0, count: floppySectors * sectorBytes - boot.count)
        return boot
    }

    /// Source: §3.1, offsets as there.
    private static func bootSector(label: [UInt8], serial: UInt32) -> [UInt8] {
        var boot = [UInt8](repeating: 0, count: sectorBytes)
        func put(_ bytes: [UInt8], at offset: Int) {
            boot.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        }
        func put(_ word: Int, at offset: Int) { put([UInt8(word & 0xff), UInt8(word >> 8)], at: offset) }
        put([0xeb, 0x3c, 0x90], at: 0)
        put(bytes("SWIFTLET"), at: 3)
        put(sectorBytes, at: 11)
        put([1], at: 13)  // sectors in a cluster
        put(1, at: 14)  // reserved: this one
        put([2], at: 16)
        put(rootEntries, at: 17)
        put(floppySectors, at: 19)
        put([0xf0], at: 21)
        put(tableSectors, at: 22)
        put(18, at: 24)
        put(2, at: 26)
        put([0x29], at: 38)
        put((0..<4).map { UInt8(truncatingIfNeeded: serial >> UInt32(8 * $0)) }, at: 39)
        put(label, at: 43)
        put(bytes("FAT12   "), at: 54)
        // Who boots from it is told so: INT 18h, and waits.
        put([0xcd, 0x18, 0xeb, 0xfe], at: 62)
        put([0x55, 0xaa], at: 510)
        return boot
    }

    /// Dated 1980-01-01, so that nothing depends on when. Source: §6.
    private static func entry(name: [UInt8], attributes: UInt8, firstCluster: Int, sizeBytes: Int) -> [UInt8] {
        var entry = name + [attributes] + [UInt8](repeating: 0, count: 20)
        for offset in [16, 18, 24] { entry[offset] = 0x21 }
        entry[26] = UInt8(firstCluster & 0xff)
        entry[27] = UInt8(firstCluster >> 8)
        for index in 0..<4 { entry[28 + index] = UInt8(truncatingIfNeeded: sizeBytes >> (8 * index)) }
        return entry
    }
}
