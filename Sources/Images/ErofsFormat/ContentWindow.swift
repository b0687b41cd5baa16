import Archives
import FileTrees

/// A file's content in order, holes as zeros, a bounded piece of it at a time; digested on the way.
struct ContentWindow {
    private var content: (any PackableContent)?
    private var buffer: [UInt8] = []
    private var start = 0
    /// Of the first byte that is still here, in the file.
    private(set) var offset: UInt64 = 0
    private var hash = SHA256()
    private var nextExtent = 0
    /// Stored bytes that have been read of the file and not been put into `buffer`.
    private var stored = [UInt8](repeating: 0, count: 1 << 17)
    private var storedStart = 0
    private var storedEnd = 0

    /// Begins a file, at its first byte.
    mutating func begin(_ content: any PackableContent) {
        self.content = content
        buffer.removeAll(keepingCapacity: true)
        (start, offset, nextExtent, storedStart, storedEnd) = (0, 0, 0, 0, 0)
        hash = SHA256()
    }

    var isEmpty: Bool { count == 0 }

    /// Whether the file goes no further than what is here.
    var holdsEnd: Bool { offset + UInt64(count) == content?.sizeBytes }

    /// How many bytes are here.
    var count: Int { buffer.count - start }

    /// Calls `body` with what is here.
    func withBytes<R>(_ body: (Span<UInt8>) throws(ErofsError) -> R) throws(ErofsError) -> R {
        try body(buffer.span.extracting(droppingFirst: start))
    }

    /// Gives up the first bytes of what is here.
    mutating func drop(_ count: Int) {
        start += count
        offset += UInt64(count)
    }

    /// Reads until `count` bytes are here, or all that the file has.
    mutating func fill(_ count: Int) throws(ErofsError) {
        guard let content else { return }
        if start > 0, self.count < count {
            buffer.removeFirst(start)
            start = 0
        }
        while self.count < count {
            let end = offset + UInt64(self.count)
            guard end < content.sizeBytes else { return }
            let before = buffer.count
            try extend(content, from: end, by: UInt64(count - self.count))
            digest(from: before)
        }
    }

    private mutating func digest(from start: Int) {
        var hash = self.hash
        hash.update(buffer.span.extracting(droppingFirst: start))
        self.hash = hash
    }

    /// Adds at least one byte and at most `count`.
    private mutating func extend(_ content: any PackableContent, from end: UInt64, by count: UInt64) throws(ErofsError)
    {
        while nextExtent < content.extents.count, Self.end(content.extents[nextExtent]) <= end { nextExtent += 1 }
        guard nextExtent < content.extents.count else {
            return buffer.appendZeros(Int(min(count, content.sizeBytes - end)))
        }
        let extent = content.extents[nextExtent]
        if extent.offset > end { return buffer.appendZeros(Int(min(count, extent.offset - end))) }
        if storedStart == storedEnd {
            storedStart = 0
            do { storedEnd = try content.read(into: &stored) } catch { throw .content(error) }
            guard storedEnd > 0 else { throw .content(.archive(.truncated(at: end))) }
        }
        let taken = Int(min(count, Self.end(extent) - end, UInt64(storedEnd - storedStart)))
        buffer.append(contentsOf: stored, storedStart..<(storedStart + taken))
        storedStart += taken
    }

    private static func end(_ extent: TarEntry.Extent) -> UInt64 { extent.offset + extent.length }

    /// Goes to `target`, with nothing but holes in between.
    mutating func passOver(to target: UInt64) throws(ErofsError) {
        drop(count)
        offset = max(offset, target)
    }

    /// The digest of all that was read.
    mutating func finishDigest() -> SHA256Digest { hash.finalize() }
}
