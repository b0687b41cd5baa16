public import HostFiles

/// Bytes that come in order and are read once: a file, a decompressor, memory.
public protocol ByteSource: AnyObject {
    /// Fills the start of `buffer` with at least one byte; zero means that there are no more.
    func read(into buffer: inout [UInt8]) throws(ArchiveError) -> Int

    /// Passes over up to `count` bytes without reading them; returns how many. Zero where that is not possible.
    func skip(_ count: UInt64) throws(ArchiveError) -> UInt64
}

extension ByteSource {
    public func skip(_ count: UInt64) throws(ArchiveError) -> UInt64 { 0 }
}

/// A part of a file that can be read at any offset; the file's own position is neither used nor changed.
public final class FileByteSource: ByteSource {
    private let file: HostFile
    private var offset: UInt64
    private let end: UInt64

    /// The bytes of `range`, or those up to the end of the file where it ends sooner.
    public init(_ file: consuming HostFile, range: Range<UInt64>) {
        self.file = file
        offset = range.lowerBound
        end = range.upperBound
    }

    public func read(into buffer: inout [UInt8]) throws(ArchiveError) -> Int {
        let wanted = Int(min(UInt64(buffer.count), end - offset))
        guard wanted > 0 else { return 0 }
        do {
            let count = try file.read(wanted, at: offset, into: &buffer)
            offset += UInt64(count)
            return count
        } catch {
            throw .host(error)
        }
    }

    public func skip(_ count: UInt64) -> UInt64 {
        let skipped = min(count, end - offset)
        offset += skipped
        return skipped
    }
}

/// What comes through a pipe, a terminal or a socket, from its current position on.
public final class PipeByteSource: ByteSource {
    private let file: HostFile

    public init(_ file: consuming HostFile) { self.file = file }

    public func read(into buffer: inout [UInt8]) throws(ArchiveError) -> Int {
        do { return try file.read(into: &buffer) } catch { throw .host(error) }
    }
}

/// Bytes in memory, given out in pieces of at most `pieceBytes`.
public final class MemoryByteSource: ByteSource {
    private let bytes: [UInt8]
    private let pieceBytes: Int
    private var offset = 0

    public init(_ bytes: [UInt8], pieceBytes: Int = .max) {
        self.bytes = bytes
        self.pieceBytes = max(1, pieceBytes)
    }

    public func read(into buffer: inout [UInt8]) -> Int {
        let count = min(buffer.count, bytes.count - offset, pieceBytes)
        buffer.replaceBytes(at: 0, with: bytes, offset..<(offset + count))
        offset += count
        return count
    }
}
