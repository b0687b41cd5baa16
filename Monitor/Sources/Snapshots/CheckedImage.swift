public import GuestMemory
public import LinuxCalls

/// A memory file of which each page is checked against a hash tree when it is read. Of one thread at a time.
///
/// Trust: memory and tree may hold anything and may change at any time; only the root is believed. So what was found right is
/// kept in memory of this process's own and used from there, never looked up in a file again. Kept are the blocks of the tree
/// that were asked for last, in a room of fixed size.
public final class CheckedImage: @unchecked Sendable {
    // The room's blocks: a page, the tree's first block, other blocks that do not vouch for pages, and those that do.
    private static let upperBlocks = 16
    private static let lowestBlocks = 32
    private static let blockCount = 2 + upperBlocks + lowestBlocks

    private let file: FileDescriptor
    private let treeFile: FileDescriptor
    private let tree: MemoryTree
    private let root: PageDigest
    /// What the guest began with.
    public let memoryBytes: UInt64
    /// The page that was read last lies at its beginning.
    public let room: ByteRoom
    /// The page that is asked for.
    private var current: UInt64 = 0
    /// Which of the tree's blocks the room's blocks are, counted from one.
    private var held = [UInt64](repeating: 0, count: blockCount)

    /// - Throws: when the tree is not one of so much memory, or not the root's.
    public init(
        _ image: consuming MemoryImage, tree treeFile: consuming FileDescriptor, root: PageDigest
    ) throws(SnapshotError) {
        memoryBytes = image.memoryBytes
        guard memoryBytes > GuestMemory.pageBytes, memoryBytes % GuestMemory.pageBytes == 0 else {
            throw .malformed("machine")
        }
        tree = MemoryTree(memoryBytes: image.lengthBytes)
        self.root = root
        do throws(LinuxError) {
            room = try ByteRoom(capacity: Self.blockCount * MemoryTree.blockBytes)
            let length = try fileSizeBytes(treeFile.number)
            self.treeFile = treeFile
            file = image.takeFile()
            if length != tree.lengthBytes { throw LinuxError.invalidArgument }
        } catch {
            if error == .invalidArgument { throw .treeLength(wanted: tree.lengthBytes) }
            throw .file(error)
        }
        _ = try block(0, level: tree.levels.count - 1)
    }

    /// Reads a page to the room's beginning.
    /// - Returns: whether it is all zeros.
    /// - Throws: when it is not the page that the root stands for, or that cannot be found out; the room may hold it, and
    ///   nobody may use it.
    public func read(page: UInt64) throws(SnapshotError) -> Bool {
        current = page
        try read(file, block: page, to: 0)
        let wanted = try digest(of: page, level: 0)
        if wanted == .ofZeros, PageDigest.isOfZeros(room) { return true }
        guard PageDigest(of: room, 0) == wanted else { throw .wrongPage(offset: page &* GuestMemory.pageBytes) }
        return false
    }

    /// Fills the blocks of a guest that are plugged, in which nothing is yet. What is zeros stays untouched.
    /// - Throws: as `read`; the guest is not to run then.
    public func fillPlugged(of memory: GuestMemory) throws(SnapshotError) {
        try memory.forEachPluggedRun { start, lengthBytes, offset throws(SnapshotError) in
            for place in stride(from: 0, to: lengthBytes, by: Int(GuestMemory.pageBytes)) {
                if try read(page: (offset &+ place) / GuestMemory.pageBytes) { continue }
                do throws(GuestMemoryError) {
                    try memory.write(room, count: MemoryTree.blockBytes, at: GuestAddress(start.value &+ place))
                } catch { throw .malformed("device") }
            }
        }
    }

    /// What a page (`level` 0) or a block of the level below must have for its digest.
    private func digest(of index: UInt64, level: Int) throws(SnapshotError) -> PageDigest {
        if level == tree.levels.count { return root }
        let place = try block(index / MemoryTree.digestsPerBlock, level: level)
        return PageDigest(in: room, place, at: Int(index % MemoryTree.digestsPerBlock))
    }

    /// Has a block of a level in the room, and right.
    /// - Returns: which of the room's blocks it is.
    private func block(_ index: UInt64, level: Int) throws(SnapshotError) -> Int {
        let number = tree.levels[level] &+ index
        let place =
            number == 0
            ? 1
            : level > 0
                ? 2 + Int((number &- 1) % UInt64(Self.upperBlocks))
                : 2 + Self.upperBlocks + Int(number % UInt64(Self.lowestBlocks))
        if held[place] == number &+ 1 { return place }
        // The one above first: it may lie where this one will.
        let wanted = try digest(of: index, level: level + 1)
        held[place] = 0
        try read(treeFile, block: number, to: place)
        guard PageDigest(of: room, place) == wanted else {
            if number == 0 { throw .wrongRoot }
            throw .wrongTree(
                offset: number &* UInt64(MemoryTree.blockBytes), page: current &* GuestMemory.pageBytes)
        }
        held[place] = number &+ 1
        return place
    }

    private func read(_ file: borrowing FileDescriptor, block: UInt64, to place: Int) throws(SnapshotError) {
        let offset = block &* UInt64(MemoryTree.blockBytes)
        do throws(LinuxError) {
            let count = try readAll(
                file.number, into: room, place * MemoryTree.blockBytes, count: MemoryTree.blockBytes, offset: offset)
            if count == MemoryTree.blockBytes { return }
        } catch { throw .file(error) }
        throw .cutOff(offset: offset)
    }
}
