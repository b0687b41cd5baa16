public import Archives
import HostFiles

/// A file of a tree as a stream of bytes, holes as zeros.
public final class FileContentSource: ByteSource {
    private let content: FileContent
    private var offset: UInt64 = 0
    private var pieceIndex = 0

    public init(_ content: FileContent) { self.content = content }

    public func read(into buffer: inout [UInt8]) throws(ArchiveError) -> Int {
        while pieceIndex < content.pieces.count, content.pieces[pieceIndex].end <= offset { pieceIndex += 1 }
        let capacity = min(UInt64(buffer.count), content.sizeBytes - offset)
        if capacity == 0 { return 0 }
        guard pieceIndex < content.pieces.count, let source = content.source else {
            return zeros(capacity, &buffer)
        }
        let piece = content.pieces[pieceIndex]
        if piece.offset > offset { return zeros(min(capacity, piece.offset - offset), &buffer) }
        let count = Int(min(capacity, piece.end - offset))
        let from = piece.sourceOffset + (offset - piece.offset)
        do throws(FileTreeError) {
            try source.withFile { file throws(FileTreeError) in
                let taken: Int
                do throws(HostFileError) {
                    taken = try file.read(count, at: from, into: &buffer)
                } catch {
                    throw .host(error)
                }
                guard taken == count else { throw .changedWhileReading(file.path) }
            }
        } catch .host(let error) {
            throw .host(error)
        } catch .archive(let error) {
            throw error
        } catch {
            throw .truncated(at: offset)
        }
        offset += UInt64(count)
        return count
    }

    private func zeros(_ count: UInt64, _ buffer: inout [UInt8]) -> Int {
        for index in 0..<Int(count) { buffer[index] = 0 }
        offset += count
        return Int(count)
    }
}
