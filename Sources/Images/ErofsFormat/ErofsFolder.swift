/// A folder's entries as they lie on the disk.
///
/// Each block stands alone: its entries' fixed parts first, then their names, both sorted by name, and no block's names
/// overlap the next's, so that the kernel finds a name by halving. The first entry's name offset tells how many there are.
/// Source: Linux fs/erofs/erofs_fs.h, `struct erofs_dirent`; fs/erofs/namei.c.
struct ErofsFolder {
    struct Entry {
        let name: [UInt8]
        let inodeIndex: Int
    }

    /// With `.` and `..`, sorted.
    private let entries: [Entry]
    /// How many entries lie in each block.
    private let counts: [Int]
    /// All blocks but the last are full, zeros after the last name included.
    let sizeBytes: UInt64

    init(_ children: [Entry], itself: Int, parent: Int) {
        let dots = [
            Entry(name: Array(".".utf8), inodeIndex: itself), Entry(name: Array("..".utf8), inodeIndex: parent),
        ]
        entries = (dots + children).sorted { $0.name.lexicographicallyPrecedes($1.name) }
        var counts: [Int] = []
        var count = 0
        var used = 0
        for entry in entries {
            let bytes = ErofsLayout.folderEntryBytes + entry.name.count
            if used + bytes > ErofsLayout.blockBytes {
                counts.append(count)
                (count, used) = (0, 0)
            }
            count += 1
            used += bytes
        }
        counts.append(count)
        self.counts = counts
        sizeBytes = UInt64((counts.count - 1) * ErofsLayout.blockBytes + used)
    }

    /// `sizeBytes` bytes; `slot` says where an inode lies.
    func encoded(_ target: (Int) -> (slot: UInt64, type: ErofsFileType)) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(sizeBytes))
        var first = 0
        for count in counts {
            bytes.pad(to: ErofsLayout.blockBytes)
            let block = entries[first..<(first + count)]
            var nameOffset = count * ErofsLayout.folderEntryBytes
            for entry in block {
                let (slot, type) = target(entry.inodeIndex)
                bytes.append(littleEndian: slot)
                bytes.append(littleEndian: UInt16(truncatingIfNeeded: nameOffset))
                bytes.append(type.rawValue)
                bytes.append(0)
                nameOffset += entry.name.count
            }
            for entry in block { bytes += entry.name }
            first += count
        }
        return bytes
    }
}
