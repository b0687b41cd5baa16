import Archives
import FileTrees
import HostFiles

/// The disk's file, written block after block from the second one on, hashed on the way.
final class ErofsOutput {
    private let file: HostFile
    private var buffer: [UInt8] = []
    private var hash = SHA256()
    private let maximumBytes: UInt64
    /// How much has been written, the first block included.
    private(set) var position = UInt64(ErofsLayout.blockBytes)
    private var scratch = [UInt8](repeating: 0, count: 1 << 18)
    private let progress: (UInt64) -> Void

    init(_ file: consuming HostFile, maximumBytes: UInt64, progress: @escaping (UInt64) -> Void) {
        self.file = file
        self.maximumBytes = maximumBytes
        self.progress = progress
        buffer.reserveCapacity(2 << 20)
    }

    /// The next block's number.
    var block: UInt64 { position / UInt64(ErofsLayout.blockBytes) }

    func write(_ bytes: Span<UInt8>) throws(ErofsError) {
        buffer.append(contentsOf: bytes)
        try advance(bytes.count)
    }

    func write(_ bytes: [UInt8]) throws(ErofsError) { try write(bytes.span) }

    private func advance(_ count: Int) throws(ErofsError) {
        position += UInt64(count)
        if buffer.count >= 1 << 20 { try flush() }
    }

    private func flush() throws(ErofsError) {
        guard position <= maximumBytes else { throw .tooLarge("the disk would be longer than \(maximumBytes) bytes") }
        hash.update(buffer)
        do { try file.write(buffer, at: position - UInt64(buffer.count)) } catch { throw .host(error) }
        buffer.removeAll(keepingCapacity: true)
        progress(position)
    }

    /// Fills up to a block's end with zeros.
    func padToBlock() throws(ErofsError) {
        let rest = Int(position % UInt64(ErofsLayout.blockBytes))
        if rest > 0 { try writeZeros(UInt64(ErofsLayout.blockBytes - rest)) }
    }

    func writeZeros(_ count: UInt64) throws(ErofsError) {
        var rest = count
        while rest > 0 {
            let part = Int(min(rest, 1 << 18))
            buffer.appendZeros(part)
            try advance(part)
            rest -= UInt64(part)
        }
    }

    /// Writes a part of a file, holes as zeros.
    func write(_ content: FileContent, _ range: Range<UInt64>) throws(ErofsError) {
        var at = range.lowerBound
        var index = content.firstPiece(endingAfter: at)
        while index < content.pieces.count, at < range.upperBound {
            let piece = content.pieces[index]
            guard piece.offset < range.upperBound else { break }
            if piece.offset > at {
                try writeZeros(piece.offset - at)
                at = piece.offset
            }
            let end = min(piece.end, range.upperBound)
            try copy(content, from: piece.sourceOffset + (at - piece.offset), count: end - at)
            at = end
            index += 1
        }
        if at < range.upperBound { try writeZeros(range.upperBound - at) }
    }

    private func copy(_ content: FileContent, from sourceOffset: UInt64, count: UInt64) throws(ErofsError) {
        guard let source = content.source else { return try writeZeros(count) }
        var done: UInt64 = 0
        while done < count {
            let part = Int(min(count - done, UInt64(scratch.count)))
            let offset = sourceOffset + done
            do throws(FileTreeError) {
                try source.withFile { file throws(FileTreeError) in
                    do throws(HostFileError) {
                        let taken = try file.read(part, at: offset, into: &scratch)
                        if taken == part { return }
                    } catch {
                        throw .host(error)
                    }
                    // It was longer when its headers were read.
                    throw .changedWhileReading(file.path)
                }
            } catch {
                throw .content(error)
            }
            buffer.append(contentsOf: scratch, first: part)
            try advance(part)
            done += UInt64(part)
        }
    }

    /// Ends the disk: the first block is made from the digest of all others.
    /// - Returns: the digest of the whole file, and its length.
    func finish(_ firstBlock: (SHA256Digest) -> [UInt8]) throws(ErofsError) -> (digest: SHA256Digest, sizeBytes: UInt64)
    {
        try padToBlock()
        try flush()
        let first = firstBlock(hash.finalize())
        do throws(HostFileError) {
            try file.write(first, at: 0)
            var whole = SHA256()
            var offset: UInt64 = 0
            while offset < position {
                let count = try file.read(scratch.count, at: offset, into: &scratch)
                if count == 0 { break }
                whole.update(scratch, first: count)
                offset += UInt64(count)
            }
            return (whole.finalize(), position)
        } catch {
            throw .host(error)
        }
    }
}

extension FileContent {
    /// The index of the first piece that ends after `offset`, found by halving.
    fileprivate func firstPiece(endingAfter offset: UInt64) -> Int {
        var low = 0
        var high = pieces.count
        while low < high {
            let middle = (low + high) / 2
            if pieces[middle].end > offset { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
