public import Archives
public import HostFiles

/// Writes a hash tree while the digests of the data come in, with one block of memory for each level.
///
/// ```swift
/// var writer = HashTreeWriter(dataBlocks: count)
/// try writer.append(digests, to: file)      // as often as there are some; 32 bytes for each block of data, in order
/// let rootHash = try writer.finish(file)
/// ```
public struct HashTreeWriter {
    public let layout: HashTreeLayout
    /// Of each level: the block that is being filled, and how many blocks are written.
    private var filling: [[UInt8]]
    private var written: [UInt64]
    private var appended: UInt64 = 0
    /// The root hash once it is known.
    private var root: [UInt8] = []

    public init(dataBlocks: UInt64) {
        layout = HashTreeLayout(dataBlocks: dataBlocks)
        filling = layout.levels.map { _ in [] }
        written = layout.levels.map { _ in 0 }
    }

    /// Takes in the digests of the next blocks of data, 32 bytes each.
    public mutating func append(
        _ digests: Span<UInt8>, to file: borrowing HostFile
    ) throws(HostFileError) {
        let count = UInt64(digests.count / HashTreeLayout.digestBytes)
        precondition(digests.count % HashTreeLayout.digestBytes == 0, "a digest is cut off")
        precondition(count <= layout.dataBlocks - appended, "more digests than there are blocks")
        appended += count
        guard !layout.levels.isEmpty else {
            for index in digests.indices { root.append(digests[index]) }
            return
        }
        var start = 0
        while start < digests.count {
            let part = min(HashTreeLayout.blockBytes - filling[0].count, digests.count - start)
            let slice = digests.extracting(start..<start + part)
            for index in slice.indices { filling[0].append(slice[index]) }
            start += part
            try pass(level: 0, to: file)
        }
    }

    public mutating func append(_ digests: [UInt8], to file: borrowing HostFile) throws(HostFileError) {
        try append(digests.span, to: file)
    }

    /// Writes what is left; all digests must have been appended. The file is not synchronised.
    public mutating func finish(_ file: borrowing HostFile) throws(HostFileError) -> SHA256Digest {
        precondition(appended == layout.dataBlocks, "fewer digests than there are blocks")
        for level in filling.indices where !filling[level].isEmpty {
            let missing = HashTreeLayout.blockBytes - filling[level].count
            filling[level].append(contentsOf: repeatElement(0, count: missing))
            try pass(level: level, to: file)
        }
        guard let digest = SHA256Digest(bytes: root) else { preconditionFailure("a tree without its root") }
        return digest
    }

    /// Writes the blocks of a level and those above it that are full.
    private mutating func pass(level: Int, to file: borrowing HostFile) throws(HostFileError) {
        guard filling[level].count == HashTreeLayout.blockBytes else { return }
        let block = layout.levels[level].start + written[level]
        try file.write(filling[level], at: block * UInt64(HashTreeLayout.blockBytes))
        written[level] += 1
        let digest = SHA256.digest(of: filling[level]).bytes
        filling[level].removeAll(keepingCapacity: true)
        guard level + 1 < filling.count else {
            root = digest
            return
        }
        filling[level + 1] += digest
        try pass(level: level + 1, to: file)
    }
}

extension HashTreeWriter {
    /// The digests of whole blocks of data, in the form in which a tree takes them.
    public static func digests(of blocks: Span<UInt8>) -> [UInt8] {
        precondition(blocks.count % HashTreeLayout.blockBytes == 0, "a block is cut off")
        var digests: [UInt8] = []
        digests.reserveCapacity(blocks.count / HashTreeLayout.blockBytes * HashTreeLayout.digestBytes)
        for start in stride(from: 0, to: blocks.count, by: HashTreeLayout.blockBytes) {
            var hash = SHA256()
            hash.update(blocks.extracting(start..<start + HashTreeLayout.blockBytes))
            digests += hash.finalize().bytes
        }
        return digests
    }
}
