import Archives

/// How a file with holes is cut into chunks: only chunks that hold something take room.
///
/// Source: Linux fs/erofs/erofs_fs.h, `struct erofs_inode_chunk_info`; Documentation/filesystems/erofs.rst, "Chunk-based files".
struct ErofsChunks {
    let chunkBits: Int
    let chunkCount: UInt64
    /// Length of the file; the last chunk may be shorter than the others.
    private let sizeBytes: UInt64
    /// How much room the stored chunks take, in whole blocks.
    let storedBytes: UInt64
    /// Numbers of the chunks that hold something, ascending.
    let stored: [UInt64]

    /// The most chunks a table may have: 4 MiB of it.
    private static let maximumChunks: UInt64 = 1 << 20

    /// The chunk size that makes table and stored chunks together smallest; nil when there is no hole worth it.
    init?(_ sizeBytes: UInt64, _ extents: [TarEntry.Extent]) {
        guard extents.reduce(0, { $0 + $1.length }) < sizeBytes else { return nil }
        let plainBytes = ErofsLayout.blocks(for: sizeBytes) * UInt64(ErofsLayout.blockBytes)
        var best: (cost: UInt64, bits: Int)?
        for above in 0...ErofsLayout.maximumChunkBitsAboveBlock {
            let bits = Int(ErofsLayout.blockBits) + above
            let count = Self.count(sizeBytes, bits)
            guard count <= Self.maximumChunks else { continue }
            let cost = Self.storedBytes(sizeBytes, extents, bits) + 4 * count
            if best.map({ cost < $0.cost }) ?? true { best = (cost, bits) }
            if count == 1 { break }
        }
        guard let best, best.cost < plainBytes else { return nil }
        self.sizeBytes = sizeBytes
        storedBytes = Self.storedBytes(sizeBytes, extents, best.bits)
        chunkBits = best.bits
        chunkCount = Self.count(sizeBytes, best.bits)
        var stored: [UInt64] = []
        Self.forEachStored(extents, best.bits) { stored.append(contentsOf: $0) }
        self.stored = stored
    }

    /// The bytes of a chunk that lie in the file.
    func range(_ chunk: UInt64) -> Range<UInt64> {
        let start = chunk << UInt64(chunkBits)
        return start..<min(start + 1 << UInt64(chunkBits), sizeBytes)
    }

    private static func count(_ sizeBytes: UInt64, _ bits: Int) -> UInt64 {
        (sizeBytes >> UInt64(bits)) + (sizeBytes & (1 << UInt64(bits) - 1) == 0 ? 0 : 1)
    }

    /// Calls `body` with runs of chunks that some piece touches, each chunk once, ascending.
    private static func forEachStored(_ extents: [TarEntry.Extent], _ bits: Int, _ body: (Range<UInt64>) -> Void) {
        var next: UInt64 = 0
        for piece in extents {
            let pieceEnd = piece.offset + piece.length
            let first = max(next, piece.offset >> UInt64(bits))
            let end = (pieceEnd - 1) >> UInt64(bits) + 1
            if first < end { body(first..<end) }
            next = max(next, end)
        }
    }

    private static func storedBytes(_ sizeBytes: UInt64, _ extents: [TarEntry.Extent], _ bits: Int) -> UInt64 {
        var bytes: UInt64 = 0
        forEachStored(extents, bits) { chunks in
            let end = min(chunks.upperBound << UInt64(bits), sizeBytes)
            bytes += ErofsLayout.blocks(for: end - chunks.lowerBound << UInt64(bits)) * UInt64(ErofsLayout.blockBytes)
        }
        return bytes
    }
}
