/// What the first bytes of a file say that it is.
public enum ArchiveFormat: Equatable, Sendable {
    case tar
    case gzip
    case zstd

    /// How many first bytes `recognize` wants to see.
    public static let headBytes = 512

    /// - Throws: for everything else, saying what it looks like and what to do.
    public static func recognize(_ head: [UInt8]) throws(ArchiveError) -> ArchiveFormat {
        func begins(_ magic: [UInt8]) -> Bool { head.starts(with: magic) }
        if begins([0x1f, 0x8b]) { return .gzip }
        if begins([0x28, 0xb5, 0x2f, 0xfd]) { return .zstd }
        // A skippable frame, with which some compressors begin. Source: RFC 8878 §3.1.2.
        if head.count >= 4, head[0] & 0xf0 == 0x50, head[1...3].elementsEqual([0x2a, 0x4d, 0x18]) { return .zstd }
        if head.count >= TarHeader.length && TarHeader.looksLikeHeader(head) { return .tar }
        if head.isEmpty { throw .unknownFormat("there is nothing in it: 0 bytes") }
        if begins(Array("BZh".utf8)) { throw .unknownFormat("it is compressed with bzip2; unpack it first: bunzip2") }
        if begins([0xfd] + Array("7zXZ".utf8)) {
            throw .unknownFormat("it is compressed with xz; unpack it first: unxz")
        }
        if begins(Array("PK".utf8)) { throw .unknownFormat("it is a zip archive; a tar is wanted") }
        throw .unknownFormat("it is neither a tar nor a gzip or zstd of one")
    }

    /// The plain bytes behind `source`, decompressed where its first bytes say that they are compressed.
    public static func decompressed(_ source: any ByteSource) throws(ArchiveError) -> any ByteSource {
        let pushback = PushbackByteSource(source)
        switch try recognize(pushback.peek(headBytes)) {
        case .tar: return pushback
        case .gzip: return try GzipByteSource(pushback)
        case .zstd: return try ZstdByteSource(pushback)
        }
    }
}

/// A source whose first bytes can be looked at before they are read.
final class PushbackByteSource: ByteSource {
    private let source: any ByteSource
    private var head: [UInt8] = []
    private var headStart = 0

    init(_ source: any ByteSource) { self.source = source }

    func peek(_ count: Int) throws(ArchiveError) -> [UInt8] {
        while head.count < count {
            var more = [UInt8](repeating: 0, count: count - head.count)
            let taken = try source.read(into: &more)
            if taken == 0 { break }
            head.append(contentsOf: more[..<taken])
        }
        return head
    }

    func read(into buffer: inout [UInt8]) throws(ArchiveError) -> Int {
        guard headStart < head.count else { return try source.read(into: &buffer) }
        let count = min(buffer.count, head.count - headStart)
        buffer.replaceBytes(at: 0, with: head, headStart..<(headStart + count))
        headStart += count
        return count
    }

    func skip(_ count: UInt64) throws(ArchiveError) -> UInt64 {
        headStart < head.count ? 0 : try source.skip(count)
    }
}
