public import Archives
public import HostFiles

/// What a disk and its hash tree do not agree in.
public enum HashTreeDamage: Equatable, Sendable {
    /// A block of data is not what the tree says.
    case data(block: UInt64)
    /// A block of the tree (counted from its beginning) is not what the one above it says, or is not there: nothing is known
    /// of these blocks of data.
    case tree(block: UInt64, dataBlocks: Range<UInt64>)
}

/// Reads data and tree as a guest's kernel would, from the root hash down, with one block of memory for each level.
///
/// Trust: data and tree may hold anything; only the root hash is believed.
public struct HashTreeCheck {
    public let layout: HashTreeLayout
    private let rootHash: SHA256Digest
    private let treeOffset: UInt64
    /// Of each level: the number of the block that was read last, and its bytes if they are right.
    private var current: [(index: UInt64, bytes: [UInt8]?)?]
    private var checked: UInt64 = 0

    /// - Parameter treeOffset: where the tree begins in its file, in bytes.
    public init(dataBlocks: UInt64, rootHash: SHA256Digest, treeOffset: UInt64 = 0) {
        self.treeOffset = treeOffset
        layout = HashTreeLayout(dataBlocks: dataBlocks)
        self.rootHash = rootHash
        current = layout.levels.map { _ in nil }
    }

    /// How many blocks of data have been looked at.
    public var checkedBlocks: UInt64 { checked }

    /// Looks at the next blocks of data, and at those of the tree that vouch for them.
    ///
    /// - Parameters:
    ///   - blocks: whole ones, those that follow the ones looked at before.
    ///   - tree: the file that holds the tree.
    /// - Returns: what is damaged, each block once.
    public mutating func check(
        _ blocks: Span<UInt8>, tree: borrowing HostFile
    ) throws(HostFileError) -> [HashTreeDamage] {
        precondition(blocks.count % HashTreeLayout.blockBytes == 0, "a block is cut off")
        let count = blocks.count / HashTreeLayout.blockBytes
        precondition(UInt64(count) <= layout.dataBlocks - checked, "more blocks than there are")
        var damage: [HashTreeDamage] = []
        for index in 0..<count {
            if let expected = try digest(ofIndex: checked, level: 0, tree, &damage) {
                var hash = SHA256()
                hash.update(
                    blocks.extracting(
                        index * HashTreeLayout.blockBytes..<(index + 1) * HashTreeLayout.blockBytes))
                if hash.finalize().bytes[...] != expected { damage.append(.data(block: checked)) }
            }
            checked += 1
        }
        return damage
    }

    /// What a block must have for its digest: one of the data (`level` 0) or of the level below `level`. Nil when what
    /// would tell is damaged itself.
    private mutating func digest(
        ofIndex index: UInt64, level: Int, _ tree: borrowing HostFile, _ damage: inout [HashTreeDamage]
    ) throws(HostFileError) -> ArraySlice<UInt8>? {
        guard level < layout.levels.count else { return rootHash.bytes[...] }
        let block = index / HashTreeLayout.digestsPerBlock
        if current[level]?.index != block {
            current[level] = (block, try readBlock(block, level: level, tree, &damage))
        }
        guard let bytes = current[level]?.bytes else { return nil }
        let start = Int(index % HashTreeLayout.digestsPerBlock) * HashTreeLayout.digestBytes
        return bytes[start..<start + HashTreeLayout.digestBytes]
    }

    /// A block of the tree, if it is right.
    private mutating func readBlock(
        _ block: UInt64, level: Int, _ tree: borrowing HostFile, _ damage: inout [HashTreeDamage]
    ) throws(HostFileError) -> [UInt8]? {
        guard let expected = try digest(ofIndex: block, level: level + 1, tree, &damage) else { return nil }
        let place = layout.levels[level].start + block
        var bytes = [UInt8](repeating: 0, count: HashTreeLayout.blockBytes)
        let count = try tree.read(
            bytes.count, at: treeOffset + place * UInt64(HashTreeLayout.blockBytes), into: &bytes)
        if count == bytes.count, SHA256.digest(of: bytes).bytes[...] == expected { return bytes }
        var span = HashTreeLayout.digestsPerBlock
        for _ in 0..<level { span *= HashTreeLayout.digestsPerBlock }
        damage.append(
            .tree(block: place, dataBlocks: block * span..<min((block + 1) * span, layout.dataBlocks)))
        return nil
    }
}
