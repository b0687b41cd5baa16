import GuestMemory
import LinuxCalls

/// Where the blocks of a memory file's hash tree lie: SHA-256, 4096 bytes for pages and blocks, no salt, no superblock.
///
/// A block holds the digests of 128 pages, or of 128 blocks of the level below, the last one filled up with zeros. The levels
/// lie one after the other, the one block that the root is the digest of first. Page n of the tree is page n of guest memory;
/// what stands behind that in the file is not in it.
///
/// Source: Linux, Documentation/admin-guide/device-mapper/verity.rst, "Hash tree".
public struct MemoryTree: Sendable {
    static let digestsPerBlock: UInt64 = 128
    static let blockBytes = 4096

    /// From the pages upwards: the first block of each level.
    let levels: [UInt64]
    /// Of all levels.
    let blockCount: UInt64
    let pageCount: UInt64

    /// - Parameter memoryBytes: whole pages, more than one.
    init(memoryBytes: UInt64) {
        pageCount = memoryBytes / GuestMemory.pageBytes
        var counts: [UInt64] = []
        var count = pageCount
        while count > 1 {
            count = (count &- 1) / Self.digestsPerBlock &+ 1
            counts.append(count)
        }
        var start: UInt64 = 0
        var levels: [UInt64] = []
        for count in counts.reversed() {
            levels.append(start)
            start &+= count
        }
        self.levels = levels.reversed()
        blockCount = start
    }

    var lengthBytes: UInt64 { blockCount &* UInt64(Self.blockBytes) }

    /// Writes the tree of a full memory file to an empty file.
    /// - Returns: its root.
    public static func write(of memory: Int32, to file: Int32) throws(SnapshotError) -> PageDigest {
        let (_, memoryBytes) = try MemoryImage.readTrailer(memory)
        guard memoryBytes > GuestMemory.pageBytes, memoryBytes % GuestMemory.pageBytes == 0 else { throw .notFull }
        let tree = MemoryTree(memoryBytes: memoryBytes)
        do throws(LinuxError) {
            // What lies below the level that is made: first the memory, then the blocks of the level before.
            var (source, start, count) = (memory, UInt64(0), tree.pageCount)
            let room = try ByteRoom(capacity: blockBytes)
            for level in tree.levels {
                var block: [UInt8] = []
                var written = level
                for index in 0..<count {
                    let offset = (start &+ index) &* UInt64(blockBytes)
                    guard try readAll(source, into: room, 0, count: blockBytes, offset: offset) == blockBytes else {
                        throw .invalidArgument
                    }
                    block += (PageDigest.isOfZeros(room) ? .ofZeros : PageDigest(of: room, 0)).bytes
                    if block.count == blockBytes || index == count &- 1 {
                        block += [UInt8](repeating: 0, count: blockBytes - block.count)
                        try writeAll(file, block, offset: written &* UInt64(blockBytes))
                        block.removeAll(keepingCapacity: true)
                        written &+= 1
                    }
                }
                (source, start, count) = (file, level, written &- level)
            }
            guard try readAll(file, into: room, 0, count: blockBytes, offset: 0) == blockBytes else {
                throw .invalidArgument
            }
            return PageDigest(of: room, 0)
        } catch { throw .file(error) }
    }
}
