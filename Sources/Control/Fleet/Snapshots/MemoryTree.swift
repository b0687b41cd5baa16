import Archives
import HostFiles
import VerityTree

/// The hash tree of a snapshot's memory, by whose root a monitor checks each page before a guest sees it.
///
/// Source: Documentation/snapshot-format.md, "Hash tree of the memory".
enum MemoryTree {
    static let fileName = "memory.tree"
    private static let block = UInt64(HashTreeLayout.blockBytes)
    private static let pieceBlocks: UInt64 = 64

    /// Writes the tree of a memory file, and returns its root.
    static func write(of memory: HostPath, to target: HostPath) throws(HostFileError) -> SHA256Digest {
        let tree = try HostFile(target, [.readWrite, .create, .truncate], mode: 0o600)
        return try write(of: memory, to: tree)
    }

    static func write(of memory: HostPath, to tree: borrowing HostFile) throws(HostFileError) -> SHA256Digest {
        let file = try HostFile(memory)
        let size = try file.status().sizeBytes
        // One that is too short is told by whoever restores it.
        let blocks = max(1, (size - min(size, SnapshotDescription.trailerBytes)) / block)
        var writer = HashTreeWriter(dataBlocks: blocks)
        let zeros = HashTreeWriter.digests(of: [UInt8](repeating: 0, count: Int(block)).span)
        let zeroPiece = [[UInt8]](repeating: zeros, count: Int(pieceBlocks)).flatMap { $0 }
        var buffer = [UInt8](repeating: 0, count: Int(pieceBlocks * block))
        var next: UInt64 = 0
        while next < blocks {
            let data = try file.nextData(from: next * block)
            let begin = min(blocks, data.map { $0.lowerBound / block } ?? blocks)
            while next < begin {
                let count = min(pieceBlocks, begin - next)
                try writer.append(
                    zeroPiece.span.extracting(first: Int(count) * HashTreeLayout.digestBytes), to: tree)
                next += count
            }
            guard let data else { break }
            let end = min(blocks, (data.upperBound + block - 1) / block)
            while next < end {
                let count = min(pieceBlocks, end - next)
                let length = Int(count * block)
                guard try file.read(length, at: next * block, into: &buffer) == length else { break }
                try writer.append(HashTreeWriter.digests(of: buffer.span.extracting(first: length)), to: tree)
                next += count
            }
        }
        return try writer.finish(tree)
    }
}
