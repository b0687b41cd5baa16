import Archives
import FileTrees
import HostFiles

extension FileTree {
    /// Puts the content of every file into a segment, in the order of their paths.
    mutating func pack(with packer: any ContentPacker) throws(FileTreeError) {
        var waiting = [root]
        while let node = waiting.popLast() {
            for (_, inside) in sortedEntries(node).reversed() where nodes[inside].isFolder { waiting.append(inside) }
            for (_, inside) in sortedEntries(node) {
                // By the time that a hard link's other name is met, the file is packed.
                guard case .file(let content) = nodes[inside].kind else { continue }
                nodes[inside].kind = .packedFile(try packer.pack(FileContentPieces(content)))
            }
        }
    }
}

/// A file's content as it lies in files of the host.
private final class FileContentPieces: PackableContent {
    private let content: FileContent
    let extents: [TarEntry.Extent]
    private var pieceIndex = 0
    private var doneInPiece: UInt64 = 0

    init(_ content: FileContent) {
        self.content = content
        extents = content.pieces.map { TarEntry.Extent(offset: $0.offset, length: $0.length) }
    }

    var sizeBytes: UInt64 { content.sizeBytes }

    func read(into buffer: inout [UInt8]) throws(FileTreeError) -> Int {
        guard pieceIndex < content.pieces.count, let source = content.source else { return 0 }
        let piece = content.pieces[pieceIndex]
        let count = Int(min(UInt64(buffer.count), piece.length - doneInPiece))
        let offset = piece.sourceOffset + doneInPiece
        try source.withFile { file throws(FileTreeError) in
            do throws(HostFileError) {
                if try file.read(count, at: offset, into: &buffer) == count { return }
            } catch {
                throw .host(error)
            }
            // It was longer when its headers were read.
            throw .changedWhileReading(file.path)
        }
        doneInPiece += UInt64(count)
        if doneInPiece == piece.length { (pieceIndex, doneInPiece) = (pieceIndex + 1, 0) }
        return count
    }
}
